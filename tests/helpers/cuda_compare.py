"""Results of the CUDA device beside another's: what may differ; blocks so small that little data shows it."""

import os
import sys

import numpy as np
import pytest

import numsnn as ns
from numsnn.devices.cuda import (
    array as cuda_array,
    dense as cuda_dense,
    device as cuda,
    population as cuda_population,
    product as cuda_product,
)
from numsnn.devices.reference import device as reference
from numsnn.layers.layer import Context

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
# host_gpu/driver.c: compiled, but by a compiler that fuses nothing unless it is told to
HOST = "HOST_GPU" in os.environ and "HOST_GPU_FUSED" not in os.environ
SMALL = SIMULATED or os.environ.get("HOST_GPU") == "small"
if SIMULATED:
    # The simulator asks its threads in a busy loop; each waits for the interpreter, by default 5 ms.
    sys.setswitchinterval(5e-5)
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    def shared(self, shape, dtype):
        """The simulator's shared.array in one go.

        Its own looks, then makes, and two threads of a block at once get an array each.
        """
        place = sys._getframe(1)
        return self._allocations.setdefault((place.f_code, place.f_lineno), np.empty(shape, dtype))

    FakeCUDAShared.array = shared

EPS = np.finfo(np.float32).eps
LABELS = np.array([0, 2, 1])       # of three samples


# blocks, tiles and segments so small that little data has edges, tails and several of each
LITTLE = (
    (cuda_array, "BLOCK", 32), (cuda_product, "TILE", 4), (cuda_dense, "SEGMENT", 16),
    (cuda_dense, "TOGETHER", 4), (cuda_dense, "SHARE", 24), (cuda_population, "WIDEST", 4))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module, name, value in LITTLE if SMALL else ():
        monkeypatch.setattr(module, name, value)


def same(found, wanted, terms=1):
    """The bits in the simulator and on the host, else close: as far as so many fused sums differ."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    if SIMULATED or HOST:
        return found.tobytes() == (wanted + wanted.dtype.type(0)).tobytes() or np.array_equal(found, wanted)
    return close(found, wanted, terms)


def close(found, wanted, terms):
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        return False
    largest = np.abs(wanted).max(initial=0)
    return np.abs(found - wanted).max(initial=0) <= 4 * terms * EPS * max(largest, 1e-30)


def agreed(layers, x, exactly=True, causal=True, **more):
    """The reference's loss and gradients, with which those of the GPU agree, twice; in two pieces, too."""
    here, there = (ns.Network(*layers(), device=device, seed=3, input_shape=x.shape[2:] or None)
                   for device in ("reference", "cuda"))
    whole, _ = there.run(x)
    assert (same if exactly else close)(whole, here.run(x)[0], 100)
    if causal:
        parts, _ = there.run(x[2:], there.run(x[:2])[1])
        assert np.array_equal(parts, whole)
    loss, nets = ns.loss.CrossEntropy(), (here, there, there.clone())
    wanted, found, again = (net.loss_and_gradients(loss, x, LABELS, **more) for net in nets)
    assert close(found.y, wanted.y, 100) and found.grads.keys() == wanted.grads.keys()
    for name, g in wanted.grads.items():
        assert np.any(g) and close(found.grads[name], g, 300), name
        assert np.asarray(found.grads[name]).tobytes() == np.asarray(again.grads[name]).tobytes(), name
    ns.optim.Adam(0.1).update(there.params, found.grads)
    assert not np.array_equal(there.run(x)[0], whole)
    return wanted


def check_population(make, n, steps, batch, lengths=None):
    """What is handed out, the state, every gradient."""
    rng = np.random.default_rng(n)
    net = ns.Network(make(n), device="reference", seed=1)
    (name, layer), = net.layers.items()
    for key in ("recurrent", "recurrent_bias"):
        if key in layer.params:
            layer.params[key][...] = rng.standard_normal(layer.params[key].shape) / np.sqrt(n)
    currents = len(layer.model.feedforward) * n
    x = (rng.standard_normal((steps, batch, currents)) * 2).astype(np.float32)
    dy = rng.standard_normal((steps, batch, n)).astype(np.float32)
    kind = type(net.initial_state(1)[name])
    begin = kind(*(random_field(field, rng, (batch, n)) for field in kind._fields))
    end = kind(*(rng.standard_normal((batch, n)).astype(np.float32) for _ in begin))
    found, events = [], layer.emits_events
    for loops in (reference, cuda):
        context = Context(loops, None if lengths is None else np.array(lengths), True)
        prepared = layer.prepare(context)
        run = layer.forward(x.copy(), begin, prepared, context)
        back = layer.backward(run.tape, dy, end, None, prepared, context)
        y = run.y.dense(np.float32) if events else run.y
        forward = (y, *run.state)
        backward = {"dx": back.dx, **dict(enumerate(back.dstate)), **back.params}
        found.append((forward, backward))
    (forward, backward), (forward_there, backward_there) = found
    assert np.any(forward[0])
    assert all(same(a, b, n * steps) for a, b in zip(forward_there, forward, strict=True))
    assert backward.keys() == backward_there.keys()
    for key, wanted in backward.items():
        assert close(backward_there[key], wanted, 2 * n * steps), key


def random_field(field, rng, shape):
    """Values of a field of a state, at least 0 and below 1; spikes are 0 or 1."""
    digits = 0 if field == "spike" else 9
    return rng.random(shape).astype(np.float32).round(digits)

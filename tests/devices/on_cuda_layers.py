"""Layers that need little of the CUDA device against the reference (see on_cuda.py): what stands beside each
other, signs, steps by themselves or in another order, padding, norms within the membrane.
"""

import numpy as np
import pytest
from cuda_compare import LABELS, agreed, close, small  # noqa: F401

import numsnn as ns
from numsnn.devices.cuda import device as cuda, spikes as cuda_spikes
from numsnn.devices.reference import device as reference

RNG = np.random.default_rng(13)
SPIKES = ns.Spikes.from_dense(RNG.random((5, 3, 5)) < 0.4)
VALUES = RNG.standard_normal((5, 3, 5), np.float32)
LENGTHS = np.array([5, 2, 5])


@pytest.mark.parametrize("units", [(1, 31, 32, 33), (70, 5), (32, 32, 1), (3,)])
def test_spikes_beside_each_other(units):
    """Bits move by any number of places; those of a slice in time, too."""
    rng = np.random.default_rng(0)
    trains = [ns.Spikes.from_dense(rng.random((3, 2, n)) < 0.5) for n in units]
    there = cuda.beside([cuda.put(x) for x in trains])
    assert isinstance(there, cuda_spikes.DeviceSpikes)
    wanted = reference.beside(trains).dense()
    assert np.array_equal(there.dense(), wanted)
    assert np.array_equal(cuda.beside([cuda.put(x)[1:] for x in trains]).dense(), wanted[1:])
    assert np.array_equal(there.reshaped(2, 3).dense(), wanted.reshape(2, 3, -1))


def test_parts_of_several_widths():
    a = np.arange(60, dtype=np.float32).reshape(2, 3, 10)
    for widths in (5, [3, 1, 6], [10]):
        parts = [loops.parted(a, widths) for loops in (cuda, reference)]
        assert all(np.array_equal(*pair) for pair in zip(*parts, strict=True))
        assert np.array_equal(cuda.beside(parts[0]), a) and np.array_equal(reference.beside(parts[1]), a)


@pytest.mark.parametrize("first", ["input", "dense1"], ids=["spikes", "values"])
def test_concatenate(first):
    """Spikes of a word and more, or values among them; a source that is taken twice, and by others."""
    n = {"input": 5, "dense1": 4}[first]

    def layers():
        return (ns.Dense(5, 37, weight=("normal", 0, 1)), ns.LIF(37, v_threshold=0.2, name="a"),
                ns.Dense(37, 4), ns.LIF(4, v_threshold=0.1, name="b"), ns.Concatenate(first, "a", "b", "a"),
                ns.Dense(n + 78, 3), ns.OverTime("mean"))

    agreed(layers, SPIKES, lengths=LENGTHS)


@pytest.mark.parametrize("x", [SPIKES, VALUES], ids=["spikes", "values"])
def test_ternary(x):
    def layers():
        return ns.Ternary(0.3, surrogate="gaussian"), ns.Dense(5, 3), ns.OverTime("mean")

    agreed(layers, x, lengths=LENGTHS)


@pytest.mark.parametrize("x", [SPIKES, VALUES], ids=["spikes", "values"])
def test_steps_by_themselves(x):
    """With and without a state, and what has parameters of its own; another population inside is refused."""
    def layers():
        inside = ns.Dense(5, 6), ns.ALIF(6, v_threshold=0.05, learn="tau_mem"), ns.LayerNorm(), ns.LIAF(6)
        return (*map(ns.TimeDistributed, inside), ns.Dense(6, 3), ns.OverTime("mean"))

    agreed(layers, x, exactly=False, lengths=LENGTHS)
    wide = ns.TimeDistributed(ns.LIF(6145, recurrent=True, recurrent_init="zeros"))
    with pytest.raises(ValueError, match="cannot run layer timedistributed0, TimeDistributed.*6144 neurons"):
        ns.Network(wide, device="cuda", input_shape=6145)


def test_tokens_with_padding():
    tokens = np.array([[0, 1, 2], [3, 0, 2], [1, 4, 0], [0, 0, 0]])

    def layers():
        neurons = ns.LIAF(6, recurrent="v", v_threshold=0.1)
        return (ns.Embedding(5, 6, weight=("normal", 0, 1), padding=0), neurons, ns.Dense(6, 3),
                ns.OverTime("last"))

    wanted = agreed(layers, tokens, lengths=np.array([4, 1, 3]))
    assert not np.any(wanted.grads["embedding0.weight"][0])


@pytest.mark.parametrize("x", [SPIKES, VALUES], ids=["spikes", "values"])
def test_both_directions(x):
    """Spikes and values in reverse order, each sample within its length."""
    def layers():
        def one():
            return ns.Dense(5, 33, weight=("normal", 0, 1)), ns.ALIF(33, recurrent=True, v_threshold=0.1)

        return (ns.Bidirectional(one), ns.Dense(66, 4), ns.Bidirectional(lambda: ns.LI(4), merge="sum"),
                ns.OverTime("mean"))

    agreed(layers, x, causal=False, lengths=LENGTHS)


@pytest.mark.parametrize("x", [SPIKES, VALUES], ids=["spikes", "values"])
@pytest.mark.parametrize("reduce", ["mean", "sum", "max"])
def test_other_steps(x, reduce):
    """Several inner steps for each that comes in, and their mean, sum or largest, of spikes mostly equal."""
    def layers():
        return (ns.Repeat(3), ns.Dense(5, 6, weight=("normal", 0, 1)), ns.LIF(6, v_threshold=0.2),
                ns.PoolTime(3, reduce), ns.Dense(6, 3), ns.OverTime("mean"))

    agreed(layers, x, lengths=LENGTHS)


@pytest.mark.parametrize(("norm", "output"), [(ns.LayerNorm, "analog"), (ns.BatchNorm, "spike")])
def test_norms_within_the_membrane(norm, output):
    """What is recorded, rates that a regulariser holds, no steps at all."""
    def layers():
        liaf = ns.LIAF(6, alpha=0.6, learn=("alpha", "v_threshold"), activation="tanh", output=output,
                       surrogate="gaussian")
        normed = norm(gain=("normal", 1, 0.2), bias=("normal", 0, 0.2))
        return ns.Dense(5, 6, bias=False), ns.MembraneNorm(liaf, normed), ns.Dense(6, 3), ns.OverTime("mean")

    regularisers = (ns.regularise.RateBand(0.9, 1.0),)
    agreed(layers, VALUES, exactly=False, lengths=LENGTHS, regularisers=regularisers)
    here, there = (ns.Network(*layers(), device=device, seed=3) for device in ("reference", "cuda"))
    fields = {"membranenorm0": ("v", "spike", "rate", "y")}
    wanted, found = (net.run(VALUES, lengths=LENGTHS, record=fields)[2]["membranenorm0"]
                     for net in (here, there))
    assert all(close(found[field], a, 100) for field, a in wanted.items())
    y, _, tape = there.forward(VALUES[:0])
    grads, _, dx = there.backward(tape, np.ones_like(y), want_dx=True)
    assert dx.shape == (0, 3, 5)
    assert not any(np.any(np.asarray(grads[f"membranenorm0.{name}"])) for name in ("gain", "alpha"))

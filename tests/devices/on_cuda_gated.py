"""The CUDA device against the reference: populations with several products a step, or with one after another.

test_cuda.py runs this file as it runs on_cuda.py.
"""

from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from cuda_compare import EPS, SIMULATED, check_population, close, same, small  # noqa: F401

import numsnn as ns
from numsnn.datasets import Dataset
from numsnn.devices.cuda import array as cuda_array, device as cuda, gated as cuda_gated
from numsnn.devices.reference import device as reference
from numsnn.layers.layer import Context
from numsnn.neurons.elementwise import ONE, ZERO, sigmoid
from numsnn.neurons.model import Model, Out

SETTINGS = ("alpha", "beta", "v_threshold", "v_reset")
GATED = {
    "LSTM": lambda n: ns.LSTM(n, learn="forget_bias"),
    "LSTM, bias": lambda n: ns.LSTM(n, recurrent_bias_init="zeros"),
    "LSTM, c recurs": lambda n: ns.LSTM(n, recurrent="c", activation="relu"),
    "LSTM, alone": lambda n: ns.LSTM(n, recurrent=False, learn="forget_bias"),
    "GRU": lambda n: ns.GRU(n),
    "GRU, no bias": lambda n: ns.GRU(n, recurrent_bias_init=False),
    "GRU, alone": lambda n: ns.GRU(n, recurrent=False),
    "GRU, reset before": lambda n: ns.GRU(n, reset_after=False),
    "GRU, reset before, bias": lambda n: ns.GRU(n, reset_after=False, recurrent_bias_init="zeros"),
    "LIAFLSTM": lambda n: ns.LIAFLSTM(n, recurrent=True, learn=SETTINGS),
    "LIAFLSTM, alone": lambda n: ns.LIAFLSTM(n, learn=SETTINGS),
    "LIAFLSTM, spikes": lambda n: ns.LIAFLSTM(n, recurrent="spike", output="spike", learn=SETTINGS),
    "LIAFLSTM, v recurs": lambda n: ns.LIAFLSTM(n, recurrent="v"),
    "LIAFGRU": lambda n: ns.LIAFGRU(n, learn=("alpha", "v_threshold"), v_threshold=0.1),
    "LIAFGRU, spikes": lambda n: ns.LIAFGRU(n, recurrent="spike", v_threshold=0.1),
    "LIAFGRU, y recurs": lambda n: ns.LIAFGRU(n, recurrent="analog", output="analog", learn="alpha"),
    "two-stage, v": lambda n: TwoStage(n, learn="alpha"),
    "two-stage, spikes": lambda n: TwoStage(n, recurrent="spike", output="spike", learn="alpha",
                                            recurrent_bias_init="zeros"),
}


class Inputs(NamedTuple):
    r: float
    h: float


class State(NamedTuple):
    v: float


class Params(NamedTuple):
    alpha: float


class Settings(NamedTuple):
    alpha: float = 0.7


def between(inputs, state, params, f):
    return params.alpha * sigmoid(inputs.r) * state.v


def between_adjoint(inputs, state, params, f, d):
    r = sigmoid(inputs.r)
    dr = params.alpha * d * state.v * r * (ONE - r)
    return Inputs(dr, ZERO), State(params.alpha * d * r), Params(d * r * state.v)


def step(inputs, state, params, f):
    v = params.alpha * state.v + inputs.h * inputs.r
    return Out(f.spike(v, f.k), v, ZERO), State(v)


def step_adjoint(inputs, state, params, f, dout, dstate):
    v = params.alpha * state.v + inputs.h * inputs.r
    dv = dout.v + dstate.v + dout.spike * f.slope(v, f.k)
    return Inputs(dv * inputs.h, dv * inputs.r), State(dv * params.alpha), Params(dv * state.v)


class TwoStage(ns.Population):
    """A spiking model, whose `between` has a gradient of a setting.

    Its SECOND stands first among the currents that the recurrence feeds.
    """

    model = Model.of("TwoStage", SimpleNamespace(
        __doc__="", OUTPUT="v", RECURS="v", SECOND="h", RECURRENT=("h", "r"),
        DEFAULTS={"recurrent": True, "recurrent_bias_init": False},
        Inputs=Inputs, State=State, Params=Params, Settings=Settings,
        step=step, step_adjoint=step_adjoint, between=between, between_adjoint=between_adjoint,
        coefficients=lambda settings, options, dt: Params(*settings),
        coefficients_adjoint=lambda settings, options, dt, dparams: Settings(*dparams)))


@pytest.fixture
def dirty(monkeypatch):
    """Arrays begin with what is no number, as memory that was used before may."""
    init = cuda_array.Array.__init__

    def made(self, shape, dtype, owner=None, first=0, blank=False):
        init(self, shape, dtype, owner, first, blank)
        if owner is None and not blank and self.dtype.kind == "f":
            cuda_array.fill(self, np.nan)

    monkeypatch.setattr(cuda_array.Array, "__init__", made)


@pytest.mark.usefixtures("dirty")
@pytest.mark.parametrize("lengths", [None, (4, 0, 3)], ids=["whole", "padded"])
@pytest.mark.parametrize("kind", GATED)
def test_population(kind, lengths):
    """Several neurons a thread; on a GPU one, too."""
    for n in (6,) if SIMULATED else (7, 33, 1100):
        check_population(GATED[kind], n, 4, 3, lengths)


def test_spikes_that_recur_in_more_than_one_word():
    check_population(GATED["LIAFGRU, spikes"], 33, 2, 1)


def passed(layer, x, dy, loops=cuda):
    """All that a pass forward and back gives."""
    context, begin = Context(loops, None, True), layer.initial_state(x.shape[1])
    prepared = layer.prepare(context)
    run = layer.forward(x.copy(), begin, prepared, context)
    back = layer.backward(run.tape, dy, begin, None, prepared, context)
    y = run.y.dense(np.float32) if layer.emits_events else run.y
    return [np.array(a) for a in (y, *run.state, back.dx, *back.dstate, *back.params.values())]


@pytest.mark.parametrize("kind", ["LSTM, bias", "GRU, reset before, bias"])
def test_the_same_bytes_twice(kind):
    rng = np.random.default_rng(0)
    layer, = ns.Network(GATED[kind](5), device="reference", seed=1).layers.values()
    widths = 5 * len(layer.model.feedforward), 5
    x, dy = (rng.standard_normal((3, 2, width)).astype(np.float32) for width in widths)
    assert [a.tobytes() for a in passed(layer, x, dy)] == [a.tobytes() for a in passed(layer, x, dy)]


@pytest.mark.parametrize("kind", ["LSTM, bias", "GRU, reset before, bias", "LIAFLSTM, spikes"])
@pytest.mark.parametrize(("steps", "batch"), [(0, 2), (1, 1), (2, 0)])
def test_few_steps_or_samples(kind, steps, batch):
    layer, = ns.Network(GATED[kind](3), device="reference", seed=1).layers.values()
    widths = 3 * len(layer.model.feedforward), 3
    x, dy = (np.ones((steps, batch, width), np.float32) for width in widths)
    found, wanted = (passed(layer, x, dy, loops) for loops in (cuda, reference))
    assert len(found) == len(wanted) > 4
    assert all(close(a, b, 30) for a, b in zip(found, wanted, strict=True))


def test_what_lies_on_the_gpu_is_parted_and_put_together():
    a = np.random.default_rng(0).standard_normal((3, 2, 15)).astype(np.float32)
    parts = cuda_gated.parted(cuda_array.put(a), 5)
    assert len(parts) == 3
    assert all(same(part, a[..., g:g + 5]) for g, part in zip((0, 5, 10), parts, strict=True))
    assert same(cuda_gated.beside(parts), a)
    assert cuda_gated.parted(parts[0], 5)[0] is parts[0] and cuda_gated.beside(parts[:1]) is parts[0]
    assert [part.shape for part in cuda_gated.parted(cuda_array.put(a[:0]), 3)] == [(0, 2, 3)] * 5


BEFORE = partial(ns.GRU, reset_after=False)


@pytest.mark.parametrize(("make", "most"), [(ns.LSTM, 1536), (ns.GRU, 2048), (BEFORE, 4096)],
                         ids=["LSTM", "GRU", "GRU, reset before"])
def test_more_neurons_than_a_block_holds_are_refused(make, most):
    for dtype, n in (("float32", most), ("float64", most // 2)):
        layer, = ns.Network(make(n, recurrent_init="zeros"), device="reference", dtype=dtype).layers.values()
        reason = cuda.refusal(layer.dynamics(), n + 1, layer.dtype)
        assert cuda.refusal(layer.dynamics(), n, layer.dtype) == "" != reason
        assert f"{n} neurons" in reason


# ---- networks


CELLS = {
    "LSTM": (ns.LSTM, {}, 4),
    "GRU": (ns.GRU, {}, 3),
    "GRU, reset before": (ns.GRU, {"reset_after": False}, 3),
    "LIAFLSTM": (ns.LIAFLSTM, {"learn": "alpha"}, 4),
    "LIAFGRU": (ns.LIAFGRU, {"recurrent": "spike", "v_threshold": 0.1}, 3),
}


def network(kind, device):
    make, more, gates = CELLS[kind]
    return ns.Network(ns.Dense(5, gates * 6, weight=("normal", 0, 1)), make(6, name="cell", **more),
                      ns.Dense(6, 3), ns.OverTime("mean"), device=device, seed=1)


@pytest.mark.parametrize("kind", CELLS)
def test_network(kind):
    """The answer, what is recorded, the loss, all gradients; padding; the same bytes twice.

    The weights stay on the GPU.
    """
    x = ns.Spikes.from_dense(np.random.default_rng(4).random((5, 3, 5)) < 0.4)
    labels, lengths = np.array([0, 2, 1]), np.array([5, 2, 4])
    host, there = network(kind, "reference"), network(kind, "cuda")
    record = {"cell": ("analog",)}
    y, _, seen = host.run(x, lengths=lengths, record=record)
    y_there, _, seen_there = there.run(x, lengths=lengths, record=record)
    assert same(y_there, y, 100) and same(seen_there["cell"]["analog"], seen["cell"]["analog"], 100)
    nets, loss = (host, there, there), ns.loss.CrossEntropy()
    wanted, found, again = (net.loss_and_gradients(loss, x, labels, lengths=lengths) for net in nets)
    assert abs(found.loss - wanted.loss) <= 20 * EPS * wanted.loss
    assert wanted.grads.keys() == found.grads.keys()
    for name, g in wanted.grads.items():
        assert close(found.grads[name], g, 100), name
        assert np.asarray(found.grads[name]).tobytes() == np.asarray(again.grads[name]).tobytes(), name
    assert sum(map(np.any, wanted.grads.values())) >= len(wanted.grads) - 1
    for name in there.layers["cell"].params:
        if name.startswith("recurrent"):
            assert isinstance(found.grads[f"cell.{name}"], cuda_array.Array)


def test_training():
    rng = np.random.default_rng(7)
    data = Dataset(ns.Spikes.from_dense(rng.random((4, 4, 5)) < 0.4), rng.integers(0, 3, 4),
                   time_first=True)
    nets = [network("LSTM", device) for device in ("reference", "cuda")]
    for net in nets:
        ns.fit(net, data, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-2), epochs=2,
               batch_size=2, progress=False, keep_best=False)
    assert all(close(nets[1].params[name], p, 2000) for name, p in nets[0].params.items())

"""The cases of `numsnn bench`: networks with inputs of a given size, and what is timed of them."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import energy, formats, optim
from ..formats.piecewise import Columns
from ..layers import LIAF, LIF, AvgPool2d, Conv2d, Dense, OverTime, Population
from ..loss import CrossEntropy
from ..network import stages
from ..network.chunks import samples
from ..network.network import Network
from ..recipes import get
from ..signals import encode
from ..signals.events import Events
from ..signals.spikes import Spikes
from .measure import Part


class Size(NamedTuple):
    steps: int          # T
    batch: int          # B
    units: int          # N, of the (first) hidden population; of the pictures' channels
    rate: float         # spikes per input and step; of `lif` and `smnist` not used


class Problem(NamedTuple):
    """A training step, or a pass without one: what other libraries need to make the same."""
    net: Network
    x: Spikes | np.ndarray
    labels: np.ndarray
    loss: Callable
    state: dict
    rate: float | None      # at which hidden neurons shall spike
    trains: bool = True     # False: only what the network answers is asked for


class Driven(NamedTuple):
    """A network whose input and gradient of the answer are given."""
    net: Network
    x: np.ndarray
    dy: np.ndarray


class Case(NamedTuple):
    """make(size, device) -> Problem, to be `scaled`, Driven, or the parts that are timed."""
    about: str
    make: Callable
    size: Size
    tiny: Size
    grows: tuple = ("steps", "batch", "units", "rate")
    on_host: bool = True
    on_gpu: bool = False

    def runs_on(self, here) -> bool:
        """Whether a device (numsnn.devices.get) can do it, and in reasonable time."""
        return self.on_host if here.HOST else self.on_gpu


def _spikes(rng, size, units):
    return Spikes.from_dense(rng.random((size.steps, size.batch, units)) < size.rate)


def scaled(problem: Problem) -> Problem:
    """The problem, weights in front of each population scaled until its neurons spike at about the problem's
    rate.

    Populations take their turns from first to last.
    """
    if problem.rate is None:
        return problem
    net, x, names = problem.net, samples(problem.x, 0, 8), list(problem.net.layers)
    for name, before in zip(names[1:], names, strict=False):
        layer = net.layers[name]
        spikes = isinstance(layer, Population) and layer.model.spiking
        if spikes and "weight" in net.layers[before].params:
            _scale(net, x, name, net.params[f"{before}.weight"], problem.rate)
    return problem


def _scale(net, x, population, weight, rate):
    """Halve, twelve times, the interval in which the right gain of the weights lies."""
    begin, low, high = weight.copy(), 1e-3, 1e3
    for _ in range(12):
        gain = np.sqrt(low * high)
        weight[...] = begin * gain
        _, _, seen = net.run(x, record={population: "rate"})
        if seen[population]["rate"].mean() < rate:
            low = gain
        else:
            high = gain


def _problem(net, x, labels, rate=None):
    return Problem(net, x, labels, CrossEntropy(), net.initial_state(x.shape[1]), rate)


def shd(size: Size, device: str = "cpu") -> Problem:
    """SHD's network."""
    rng, recipe = np.random.default_rng(0), get("srnn-shd")
    net = recipe.network(recipe.configured({"hidden": f"{size.units}r-{size.units}r"}), device=device)
    return _problem(net, _spikes(rng, size, 700), rng.integers(0, 20, size.batch), 0.11)


def ecg(size: Size, device: str = "cpu") -> Problem:
    """The ECG network, which answers at every step."""
    rng, recipe = np.random.default_rng(0), get("srnn-ecg")
    net = recipe.network(recipe.configured({"hidden": size.units}), device=device)
    return _problem(net, _spikes(rng, size, 4), rng.integers(0, 6, (size.steps, size.batch)), 0.34)


def smnist(size: Size, device: str = "cpu") -> Problem:
    """Digits without rhyme: every pixel drawn at random, four of five black, behind 80 receptive fields."""
    rng, recipe = np.random.default_rng(0), get("srnn-smnist-2020")
    hidden = f"{size.units}r-{max(size.units // 2, 1)}r"
    net = recipe.network(recipe.configured({"hidden": hidden}), device=device)
    shape = size.steps, size.batch
    pixels = rng.random(shape) * (rng.random(shape) < 0.2)
    x = encode.rbf(pixels[..., None], 80, offset=-1, density=True).astype(np.float32)
    return _problem(net, x, rng.integers(0, 10, size.batch), 0.09)


def running(make: Callable) -> Callable:
    """The same network, which only answers."""
    return lambda size, device="cpu": make(size, device)._replace(trains=False)


def alone(make: Callable) -> Callable:
    """The same network, weights scaled by eight sequences, which answers to the first of them."""
    def made(size, device="cpu"):
        many = scaled(make(size._replace(batch=max(size.batch, 8)), device))
        x, labels = samples(many.x, 0, size.batch), many.labels[..., :size.batch]
        return many._replace(x=x, labels=labels, state=many.net.initial_state(size.batch), rate=None,
                             trains=False)
    return made


def _conv(output):
    def make(size, device="cpu"):
        rng, n = np.random.default_rng(0), size.units
        neurons = lambda: LIAF(alpha=0.5, v_threshold=0.5, output=output)
        net = Network(Conv2d(2, n, 5), neurons(), AvgPool2d(2), Conv2d(n, 2 * n, 3), neurons(), AvgPool2d(2),
                      Dense(2 * n * 36, 10), OverTime("mean"), input_shape=(2, 34, 34), device=device)
        return _problem(net, _spikes(rng, size, 2 * 34 * 34), rng.integers(0, 10, size.batch))
    return make


def _lif(size, device, *before):
    rng, shape = np.random.default_rng(0), (size.steps, size.batch, size.units)
    lif = LIF(size.units, tau_mem=20.0, v_threshold=0.3)
    net = Network(*before, lif, input_shape=size.units, device=device)
    x = rng.standard_normal(shape, np.float32)
    dy = rng.standard_normal(shape, np.float32)
    return Driven(net, x, dy)


def lif(size: Size, device: str = "cpu") -> Driven:
    """One population, its current given: what it takes is bandwidth."""
    return _lif(size, device)


def dense_lif(size: Size, device: str = "cpu") -> Driven:
    """The same behind a dense layer as wide as it is."""
    return _lif(size, device, Dense(size.units, size.units))


def _driven(problem):
    net, dy = problem.net, problem.dy
    ahead, back = _passes(problem)
    kept = []

    def forward():
        kept[:] = [ahead()]

    def backward():
        back(kept.pop())

    weights = sum(p.size for p in net.params.values() if p.ndim == 2)
    if weights:
        product = 2 * weights * dy.shape[0] * dy.shape[1]
        return {"forward": Part(forward, flops=product),
                "backward": Part(backward, forward, flops=2 * product)}
    # forward: current read, membrane kept, spikes handed out;
    # backward: dy, current and membrane read, dx written
    values = 4 * dy.size
    return {"forward": Part(forward, bytes=3 * values),
            "backward": Part(backward, forward, bytes=4 * values)}


def _passes(problem):
    """(function() -> tape, function(tape)); on a GPU what comes and goes stays where it is."""
    net, x, dy = problem
    if net.loops.HOST:
        def ahead():
            return net.forward(x)[2]

        def back(tape):
            return net.backward(tape, dy, want_dx=True)
        return ahead, back
    state = net.initial_state(x.shape[1])
    x_there, dy_there = net.sent(x), net.loops.put(dy)

    def ahead_there():
        return stages.forward(net, x_there, state, None, {}, True)[2]

    def back_there(tape):
        return stages.backward(net, tape, dy_there, {}, {}, True)
    return ahead_there, back_there


def _stream(make, size):
    problem = alone(make)(size._replace(steps=50), "cpu")
    net = problem.net
    rows = problem.x.dense(np.float32) if isinstance(problem.x, Spikes) else problem.x
    state = [None]

    def steps():
        for row in rows:
            _, state[0] = net.step(row, state[0])
    return {"net.step": Part(steps, divide=len(rows))}


def _ones(here, p):
    """Like p, where p lies."""
    ones = np.ones(p.shape, p.dtype)
    return here.put(ones) if here.holds(p) else ones


def adam(size: Size, device: str = "cpu") -> dict[str, Part]:
    """The update of the SHD network's parameters."""
    net = shd(size, device).net
    optimizer = optim.Adam(1e-9)
    grads = {name: _ones(net.loops, p) for name, p in net.params.items()}
    moved = 4 * 7                       # bytes a parameter: p, m, v read and written, g read
    return {"update": Part(lambda: optimizer.update(net.params, grads), bytes=net.n_params * moved)}


def decode(size: Size, device: str = "cpu") -> dict[str, Part]:
    """A file of events of a 128 x 128 sensor, a thousand for each step: read, and binned for a network."""
    rng, n, folder = np.random.default_rng(0), 1000 * size.steps, tempfile.TemporaryDirectory()
    path = Path(folder.name) / "events.raw"
    t = np.cumsum(rng.integers(0, 3, n))
    x, y = (rng.integers(0, 128, n, np.uint16) for _ in "xy")
    p = rng.integers(0, 2, n, np.uint8)
    formats.write(path, [Columns(t, x, y, p)], "evt3", sensor=(128, 128))
    events = Events(t, x=x, y=y, p=p, shape=(2, 128, 128))

    def read(folder=folder):        # a folder lasts as long as somebody has it
        return formats.read(path, "evt3")
    return {"read": Part(read, bytes=path.stat().st_size), "bin": Part(lambda: events.bin(dt=1e-3))}


def parts(problem: Problem | Driven | dict[str, Part]) -> dict[str, Part]:
    """What is timed of a training step: forward and backward alone, and the whole with loss and update."""
    if isinstance(problem, Driven):
        return _driven(problem)
    if not isinstance(problem, Problem):
        return problem
    net, x, labels, loss, state, _, trains = problem
    if not trains:
        return {"run": Part(lambda: net.run(x, state)[0], flops=_operations_ahead(net, x))}
    optimizer = optim.Adam(1e-9)
    kept: list = []                 # answer (in backward: its gradient), state, tape

    def forward():
        kept[:] = net.forward(x, state)

    def before_backward():
        forward()
        kept[1] = loss(kept[0], labels)[1]

    def backward():
        net.backward(kept[2], kept[1])

    def step():
        result = net.loss_and_gradients(loss, x, labels, state=state)
        optimizer.update(net.params, result.grads)
        return result.loss, result.grads

    ahead, back = operations(net if net.loops.HOST else net.clone(device="cpu"), x)
    return {"forward": Part(forward, flops=ahead), "backward": Part(backward, before_backward, flops=back),
            "step": Part(step, flops=ahead + back)}


def operations(net: Network, x: Spikes | np.ndarray) -> tuple[float, float]:
    """Floating-point operations that the forward and the backward pass cannot do without.

    Elementwise ones are left out.  Forward: a multiplication and an addition for each value that meets a
    weight, an addition for each spike that does.  Backward: the same for the gradient of each weight, and a
    dense product for what goes back to each layer but the first.
    """
    ahead = _operations_ahead(net, x)
    weights = sum(p.size for name, p in net.params.items() if name.endswith(".recurrent"))
    for layer in list(net.layers.values())[1:]:
        weight = layer.params.get("weight")
        if weight is not None and weight.ndim == 2:
            weights += weight.size
        if isinstance(layer, Conv2d) and layer.shape_out is not None:
            weights += layer.params["weight"].size * int(np.prod(layer.shape_out[1:]))
    return ahead, ahead + 2 * weights * x.shape[0] * x.shape[1]


def _operations_ahead(net, x):
    total = energy.operations(net if net.loops.HOST else net.clone(device="cpu"), x).total
    return 2 * total.mac + total.ac


CASES = {
    "shd": Case(
        "SHD SRNN, 700-128r-128r-20, 5 % of the inputs and 11 % of the neurons spike",
        shd, Size(250, 64, 128, 0.05), Size(12, 4, 8, 0.05), on_gpu=True),
    "ecg": Case(
        "ECG SRNN, 4-36r-6, a label per step",
        ecg, Size(1301, 64, 36, 0.08), Size(30, 4, 6, 0.08), on_gpu=True),
    "smnist": Case(
        "S-MNIST SRNN, 80 receptive fields, 256r-128r-10",
        smnist, Size(784, 64, 256, 0.0), Size(12, 4, 8, 0.0), ("steps", "batch", "units"), on_gpu=True),
    "convliaf": Case(
        "16C5-AP2-32C3-AP2-FC10 of LIAF on 2 x 34 x 34 events",
        _conv("analog"), Size(20, 32, 16, 0.02), Size(3, 2, 2, 0.02), on_gpu=True),
    "convlif": Case(
        "the same of LIF",
        _conv("spike"), Size(20, 32, 16, 0.02), Size(3, 2, 2, 0.02), on_gpu=True),
    "run-shd": Case(
        "the answers of the SHD SRNN to 256 sequences",
        running(shd), Size(250, 256, 128, 0.05), Size(12, 4, 8, 0.05), (), on_gpu=True),
    "run-ecg": Case(
        "the answers of the ECG SRNN to 256 sequences",
        running(ecg), Size(1301, 256, 36, 0.08), Size(30, 4, 6, 0.08), (), on_gpu=True),
    "run-smnist": Case(
        "the answers of the S-MNIST SRNN to 256 sequences",
        running(smnist), Size(784, 256, 256, 0.0), Size(12, 4, 8, 0.0), (), on_gpu=True),
    "one-shd": Case(
        "the answer of the SHD SRNN to one sequence",
        alone(shd), Size(250, 1, 128, 0.05), Size(12, 1, 8, 0.05), ()),
    "one-ecg": Case(
        "the answers of the ECG SRNN to one sequence",
        alone(ecg), Size(1301, 1, 36, 0.08), Size(30, 1, 6, 0.08), ()),
    "lif": Case(
        "one LIF population, current given, no synapses",
        lif, Size(500, 16, 16384, 0.0), Size(10, 2, 64, 0.0), ("steps", "batch", "units"), on_gpu=True),
    "dense-lif": Case(
        "the same behind a dense layer of 16,384 x 16,384",
        dense_lif, Size(500, 16, 16384, 0.0), Size(10, 2, 64, 0.0), (), on_host=False, on_gpu=True),
    "stream-ecg": Case(
        "net.step of one sample, ECG SRNN",
        lambda size, device: _stream(ecg, size), Size(50, 1, 36, 0.08), Size(5, 1, 6, 0.08), ()),
    "stream-shd": Case(
        "net.step of one sample, SHD SRNN",
        lambda size, device: _stream(shd, size), Size(50, 1, 128, 0.05), Size(5, 1, 8, 0.05), ()),
    "decode": Case(
        "a file of events read (EVT 3.0), and binned",
        decode, Size(2000, 1, 1, 0.0), Size(5, 1, 1, 0.0), ("steps",)),
    "adam": Case(
        "Adam, the SHD SRNN's parameters",
        adam, Size(10, 2, 128, 0.05), Size(4, 2, 8, 0.05), (), on_gpu=True),
}

__all__ = ["CASES", "Case", "Driven", "Problem", "Size", "operations", "parts", "scaled"]

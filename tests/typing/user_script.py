"""What a user writes; test_typing.py checks its types as strictly as mypy can, and runs it."""

from __future__ import annotations

import numpy as np

import numsnn as ns
from numsnn.datasets.recordings import Bins
from numsnn.training.regularise import RateBand


def network(units: int, seed: int = 0) -> ns.Network:
    return ns.Network(
        ns.Dense(3, units),
        ns.ALIF(units, recurrent=True, tau_mem=20.0, tau_adp=50.0, learn=("tau_mem", "tau_adp")),
        ns.Dense(units, units),
        ns.LIF(units, tau_mem=("normal", 20, 3), reset="hard", surrogate="superspike"),
        ns.Residual(ns.Dense(units, units), ns.LIAF(units, activation="relu")),
        ns.Dense(units, 2), ns.LI(2, tau_mem=20), ns.OverTime("mean"), dt=1.0, seed=seed)


def pictures() -> ns.Network:
    return ns.Network(
        ns.Conv2d(2, 4, 3, padding=1), ns.ARLIF(threshold="fixed"), ns.MaxPool2d(2), ns.BatchNorm(),
        ns.Flatten(), ns.Dense(4 * 4 * 4, 2), ns.OverTime("last"), input_shape=(2, 8, 8))


def train(folder: str) -> float:
    rng = np.random.default_rng(0)
    x: np.ndarray = rng.random((12, 16, 3)) < 0.4
    data = ns.Dataset(x, rng.integers(0, 2, 16), classes=("no", "yes"))
    rest, held_out = data.split(0.25, seed=1)
    net = network(6)
    optimizer = ns.optim.Adam(1e-2, clip_norm=1.0, schedule=ns.optim.Cosine(3))
    history = ns.fit(net, rest, held_out, loss=ns.loss.CrossEntropy(label_smoothing=0.1), optimizer=optimizer,
                     epochs=2, batch_size=4, regularisers=(RateBand(0.0, 0.9),), progress=False)
    first: float = history["loss"][0]
    found: ns.Evaluation = ns.evaluate(net, held_out)
    predicted: np.ndarray = ns.predict(net, held_out)
    print(found.accuracy, predicted.shape, first)

    y, state = net.run(x)
    y, state, seen = net.run(x, state, record={"alif0": ("v", "spike")})
    potential: np.ndarray = seen["alif0"]["v"]
    step, state = net.step(x[0], state)
    y, state, tape = net.forward(x, rng=rng)
    loss, dy = ns.loss.CrossEntropy()(y, data.y)
    grads, dstate = net.backward(tape, dy)
    grads, before, dx = net.backward(tape, dy, want_dx=True)
    print(sorted(before) == sorted(dstate))
    optimizer.update(net.params, grads)
    errors: dict[str, float] = ns.check_gradients(network(4), x[:5, :2], data.y[:2])
    ns.save(net, f"{folder}/net.h5")
    same: ns.Network = ns.load(f"{folder}/net.h5", device="reference")
    print(potential.shape, step.shape, loss, dx.shape, max(errors.values()), same.n_params)
    return first


def events() -> ns.Spikes:
    t = np.arange(50) * 1000
    recording = ns.Events(t, x=t % 8, y=t % 8, p=t % 2, shape=(2, 8, 8))
    spikes: ns.Spikes = recording.bin(dt=10e-3)
    framing = Bins(dt=10e-3)
    print(framing.dt, ns.energy.operations(pictures(), spikes).per_step)
    return spikes


if __name__ == "__main__":
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        train(folder)
    print(events())

"""A small network of each kind that has kernels of its own, trained a few steps: for tools with which kernels
take a hundred times as long.

kinds.py trains them all.
"""

import notes  # noqa: F401  kernels of the host, where they are asked for
import numpy as np
from cuda_compare import LITTLE

import numsnn as ns

RNG = np.random.default_rng(0)
SHAPE = 4, 3
SPIKES = ns.Spikes.from_dense(RNG.random((*SHAPE, 33)) < 0.3)
VALUES = RNG.standard_normal((*SHAPE, 33), np.float32)
PICTURES = ns.Spikes.from_dense(RNG.random((*SHAPE, 2 * 6 * 6)) < 0.3)
TOKENS = RNG.integers(0, 5, SHAPE)


def pictures(neurons, pool):
    return lambda: (ns.Conv2d(2, 3, 3, padding=1), neurons(), pool(2), ns.Flatten(), ns.Dense(27, 4))


KINDS = {
    "alone, spikes": (SPIKES, lambda: (ns.Dense(33, 35), ns.LIF(35, v_threshold=0.2), ns.Dense(35, 4))),
    "recurrent, spikes": (SPIKES, lambda: (
        ns.Dense(33, 35), ns.ALIF(35, recurrent=True, learn=("tau_mem", "tau_adp"), v_threshold=0.1),
        ns.Dense(35, 4), ns.LI(4, learn="tau_mem"), ns.OverTime("sum", of="softmax", start=1))),
    "recurrent, values": (VALUES, lambda: (
        ns.Dense(33, 35), ns.LIAF(35, recurrent="analog"), ns.Dense(35, 4), ns.OverTime("max"))),
    "gated": (VALUES, lambda: (ns.Dense(33, 140), ns.LSTM(35), ns.Dense(35, 4))),
    "two products a step": (VALUES, lambda: (
        ns.Dense(33, 105), ns.GRU(35, reset_after=False), ns.Dense(35, 4))),
    "pictures of spikes": (PICTURES, pictures(lambda: ns.LIF(v_threshold=0.2), ns.MaxPool2d)),
    "pictures of values": (PICTURES, pictures(lambda: ns.LIAF(v_threshold=0.2), ns.AvgPool2d)),
    "norms": (VALUES, lambda: (ns.Dense(33, 35), ns.BatchNorm(), ns.Activation("tanh"), ns.LayerNorm(),
                               ns.Dropout(0.3, per_step=True), ns.Dense(35, 4), ns.OverTime("mean"))),
    "delays": (SPIKES, lambda: (
        ns.Delay(2), ns.Dense(33, 35, delays=ns.Delays(2)), ns.LIF(35, v_threshold=0.2), ns.Delay(max=2),
        ns.Dense(35, 4, delays=ns.Delays(2, kernels=2)))),
    "delays in a recurrence": (SPIKES, lambda: (
        ns.Dense(33, 35), ns.LIF(35, v_threshold=0.2, recurrent=ns.Delays(3, axonal=True)),
        ns.ALIF(35, v_threshold=0.2, recurrent=ns.Delays(2)), ns.Dense(35, 4))),
    "tokens": (TOKENS, lambda: (ns.Embedding(5, 35, weight=("normal", 0, 1), padding=0),
                                ns.Residual(ns.LIF(35, v_threshold=0.2), ns.Dense(35, 35)), ns.Dense(35, 4))),
    "side by side": (SPIKES, lambda: (
        ns.Dense(33, 35), ns.LIF(35, v_threshold=0.2), ns.Concatenate("input", "lif0"), ns.Ternary(0.5),
        ns.TimeDistributed(ns.Dense(68, 35)), ns.MembraneNorm(ns.LIAF(35), ns.LayerNorm()), ns.Dense(35, 4))),
    "step by step": (SPIKES, lambda: (
        ns.Dense(33, 35, name="in"), ns.Previous("lif0", shape=35), ns.Dense(35, 35), ns.Add("in", "dense0"),
        ns.LIF(35, v_threshold=0.2, learn="tau_mem"), ns.ARLIF(35), ns.Repeat(2), ns.PoolTime(2, "max"),
        ns.Dense(35, 4))),
    "cells of pictures": (PICTURES, lambda: (
        ns.ConvLSTM2D(2, 2, 3, padding=1), ns.ConvARLIF2D(2, 2, 3), ns.Flatten(), ns.Dense(32, 4))),
}


def trained(x, layers, steps=2):
    """The last loss of a few steps of training, the batch padded; and an answer to it."""
    shape = (2, 6, 6) if x is PICTURES else None
    net = ns.Network(*layers(), device="cuda", seed=0, input_shape=shape)
    per_step = net.layers[net.graph.answer].answers_each_step
    labels = np.random.default_rng(1).integers(0, 4, SHAPE if per_step else SHAPE[1])
    lengths, rng = np.array([4, 2, 3]), np.random.default_rng(2)
    optimizer = ns.optim.Adam(1e-3, clip_norm=1.0)
    for _ in range(steps):
        result = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, lengths=lengths, rng=rng)
        optimizer.update(net.params, result.grads)
    return result.loss, net.run(x)[0]


def main():
    for module, name, value in LITTLE:
        setattr(module, name, value)
    for kind, (x, layers) in KINDS.items():
        loss, y = trained(x, layers)
        if not np.isfinite(loss) or not np.isfinite(y).all():
            raise SystemExit(f"{kind}: loss {loss}")
        print(f"{kind}: loss {loss:.6f}", flush=True)


if __name__ == "__main__":
    main()

"""The network that tests of the CUDA device run, with different answers, and its input."""

import numpy as np

import numsnn as ns

ANSWERS = {
    "per step": lambda: (ns.ALIF(4, output="v"),),
    "spikes": lambda: (ns.LIF(4, v_threshold=0.1),),
    "logits": lambda: (),
    "sum": lambda: (ns.LI(4, learn="tau_mem"), ns.OverTime("sum", of="softmax", start=1)),
    "mean of value": lambda: (ns.OverTime("mean", of="value", start=1),),
    "max of softmax": lambda: (ns.OverTime("max", of="softmax", start=1),),
    "last of value": lambda: (ns.OverTime("last", of="value", start=1),),
    "each of softmax": lambda: (ns.OverTime("each", of="softmax", start=0),),
}
X = np.random.default_rng(4).random((5, 3, 5)) < 0.4


def srnn(device, answer="sum", **more):
    neurons = ns.ALIF(9, recurrent=True, v_threshold=0.1, learn=("tau_mem", "tau_adp"))
    return ns.Network(ns.Dense(5, 9, weight=("normal", 0, 1)), neurons, ns.Dense(9, 4), *ANSWERS[answer](),
                      device=device, seed=1, **more)

"""What rules without a tape cannot serve, and arguments that are wrong: refused with a sentence."""

import numpy as np
import pytest
from test_eprop import BATCH, N_IN, N, data, layered

import numsnn as ns
from numsnn.devices import get


def before_readout(first, n=N_IN):
    return lambda: (*first(), ns.Dense(n, N), ns.LI(N))


def behind_readout(*last):
    return lambda: (ns.Dense(N_IN, N), ns.LI(N), *last)


REFUSED = {
    "BatchNorm": (before_readout(lambda: (ns.BatchNorm(), ns.LIF(N_IN))), "looks at all samples"),
    "Bidirectional": (before_readout(lambda: (ns.Bidirectional(lambda: ns.LIF(N_IN)),), 2 * N_IN),
                      "whole sequence"),
    "Reverse": (before_readout(lambda: (ns.Reverse(),)), "whole sequence"),
    "Dropout": (before_readout(lambda: (ns.Dropout(0.5),)), "has no traces"),
    "Dense behind Dense": (before_readout(lambda: (ns.Dense(N_IN, 5),), 5), "follows another Dense"),
    "Dense at the end": (behind_readout(ns.Dense(N, N)), "no population after it"),
    "a product in a product": (lambda: (ns.Dense(N_IN, 9), ns.GRU(3, reset_after=False)), "two products"),
    "largest over time": (behind_readout(ns.OverTime("max")), "known at the end only"),
    "sum of soft-maxes": (behind_readout(ns.OverTime("sum", of="softmax")), "known at the end only"),
    "sum of spikes": (lambda: (ns.Dense(N_IN, N), ns.LIF(N), ns.OverTime("sum")), "membranes"),
    "a branch": (before_readout(lambda: (ns.LIF(N_IN, name="a"), ns.LIF(N_IN), ns.Add("a", "lif0"))),
                 "layer before"),
    "no population": (lambda: (ns.OverTime("each"),), "no population"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_by_name(name):
    layers, words = REFUSED[name]
    net = ns.Network(*layers(), input_shape=N_IN, device="reference")
    with pytest.raises(ValueError, match=words) as caught:
        ns.rules.EProp(net)
    assert "bptt" in str(caught.value) or "OverTime" in str(caught.value)


def test_bad_arguments_are_refused(rng):
    net, (x, labels) = layered(), data(rng)
    for how, words in (({"feedback": "none"}, "'symmetric'"), ({"spatial": 3}, "'exact'"),
                       ({"kappa": 1.0}, "below 1"), ({"batch": 0}, "positive integer"),
                       ({"loss": lambda y, t: (0.0, y)}, "whole batch")):
        with pytest.raises(ValueError, match=words):
            ns.rules.EProp(net, **how)
    trace = ns.rules.EProp(net, batch=BATCH)
    for given, words in (((x[0, :2],), "3 samples|as many"), ((x[0], None, [True] * 3), "no target"),
                         ((x[0], [9, 0, 0]), "labels must lie"), ((x[0, :, :2],), "shape")):
        with pytest.raises(ValueError, match=words):
            trace.step(*given)
    with pytest.raises(ValueError, match="mean over steps"):
        ns.rules.EProp(net, ns.loss.CrossEntropy("mean"), batch=BATCH).step(x[0], labels[0])
    ended = ns.rules.EProp(layered(ns.OverTime("mean")), batch=BATCH)
    with pytest.raises(ValueError, match="answer at each step"):
        ended.step(x[0], labels[0], mask=[True] * 3)


def test_a_device_without_loops_is_refused(monkeypatch):
    monkeypatch.delattr(get("reference"), "eligibility_step")
    with pytest.raises(ValueError, match='no loops on device "reference"'):
        ns.rules.EProp(layered())


def test_a_readout_that_no_error_passes_is_refused():
    """One whose membrane feels a current a step late only."""
    late = ns.CSiLIF(N, output="v", b=0.0)
    net = ns.Network(ns.Dense(N_IN, 5), ns.LIF(5), ns.Dense(5, N), late, device="reference")
    with pytest.raises(ValueError, match="do not feel the current"):
        ns.rules.EProp(net).step(np.ones((1, N_IN)))

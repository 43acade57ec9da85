"""What other libraries make of our files: the second table of the guide's page on NIR.

Every outcome stands below, that of a peer's bug too, so that a test which fails with a newer version of a
peer says which line of the guide is out of date.  Skipped where a library is missing, see test_peers.py.
"""

import numpy as np
import pytest
from nir_peers import DT, MODULES, PEERS, need, spikes

import numsnn as ns
from numsnn import guide

EULER = {"integrator": "euler", "reset": "hard"}
UNIT = {**EULER, "input_scale": "1-alpha"}      # NIR's r and w_in of 1
STEPWISE = {**EULER, "input_scale": "1"}        # an input adds r: in NIR r = tau / dt
PLAIN = {"integrator": "euler", "input_scale": "1-alpha"}       # of what does not spike


def dense(n_in, n_out, seed=0):
    """Weights around 1, so that populations spike now and then."""
    weight = np.random.default_rng(seed).uniform(-1, 2, (n_in, n_out))
    bias = np.full(n_out, 0.05)
    return ns.Dense(n_in, n_out, weight=lambda rng, shape: weight, bias=lambda rng, shape: bias)


def conv(groups=1):
    weight = np.random.default_rng(1).uniform(-0.3, 0.8, (4, 2 // groups, 3, 3))
    more = {"groups": groups} if groups > 1 else {}
    return ns.Conv2d(2, 4, 3, padding=1, weight=lambda rng, shape: weight, **more)


def lif(n=3, **more):
    return ns.LIF(n, **{"tau_mem": 20, "v_threshold": 0.2, **UNIT, **more})


def loop(seed=3):
    weight = np.random.default_rng(seed).uniform(-0.5, 0.5, (3, 3))
    return {"recurrent": True, "recurrent_init": lambda rng, shape: weight}


def pictures(pool, groups=1):
    return conv(groups), ns.LIF(v_threshold=0.1, **UNIT), pool, ns.Flatten(), dense(36, 3), lif(3)


NETWORKS = {
    "LIF": lambda: (dense(4, 3), lif()),
    "LIF, r = tau / dt": lambda: (dense(4, 3), lif(**STEPWISE, v_threshold=4)),
    "LIF, two populations": lambda: (dense(4, 5), lif(5), dense(5, 3), lif()),
    "LIF, recurrent": lambda: (dense(4, 3), lif(**loop())),
    "LIF, tau of each neuron": lambda: (dense(4, 3), lif(tau_mem=[10, 20, 30])),
    "LIF, v_threshold of each neuron": lambda: (dense(4, 3), lif(v_threshold=[0.1, 0.2, 0.3])),
    "LIF, v_leak": lambda: (dense(4, 3), lif(v_leak=0.1)),
    "LIF, v_reset": lambda: (dense(4, 3), lif(v_reset=-0.1)),
    "IF": lambda: (dense(4, 3), ns.IF(3, v_threshold=4, reset="hard")),
    "CubaLIF": lambda: (dense(4, 3), ns.CubaLIF(3, v_threshold=0.2, **UNIT)),
    "CubaLIF, r = tau / dt": lambda: (dense(4, 3), ns.CubaLIF(3, v_threshold=20, **STEPWISE)),
    "CubaLIF, recurrent": lambda: (dense(4, 3), ns.CubaLIF(3, v_threshold=20, **STEPWISE, **loop())),
    "LI": lambda: (dense(4, 5), lif(5), dense(5, 3), ns.LI(3, **PLAIN)),
    "CubaLI": lambda: (dense(4, 5), lif(5), dense(5, 3), ns.CubaLI(3, **PLAIN)),
    "I": lambda: (dense(4, 5), lif(5), dense(5, 3), ns.Integrator(3)),
    "Scale": lambda: (ns.Scale([1, 2, 3, 0.5], 4), dense(4, 3), lif()),
    "Threshold": lambda: (dense(4, 3), ns.Threshold(3, v_threshold=0.5)),
    "Delay": lambda: (ns.Delay(2), dense(4, 3), lif()),
    "Conv2d, SumPool2d, Flatten": lambda: pictures(ns.SumPool2d(2)),
    "Conv2d, AvgPool2d, Flatten": lambda: pictures(ns.AvgPool2d(2)),
    "Conv2d with groups": lambda: pictures(ns.SumPool2d(2), groups=2),
}

# exact: the same spikes, and other numbers to rounding; alone: so for one sample at a time, as its Flatten
# takes the axis of the samples too; refused: an error; wrong: other spikes, without an error
EXACT, ALONE, REFUSED, WRONG = "exact", "alone", "refused", "wrong"
EITHER = (REFUSED, WRONG)               # its importer's order is that of a set of strings
OUTCOMES = {                            # Norse 1.1.0   snnTorch 1.0.0   SpikingJelly 2.0.0
    "LIF": (EXACT, EXACT, EXACT),
    "LIF, r = tau / dt": (WRONG, EXACT, EXACT),
    "LIF, two populations": (EXACT, EXACT, EXACT),
    "LIF, recurrent": (EXACT, REFUSED, EXACT),
    "LIF, tau of each neuron": (EXACT, WRONG, REFUSED),
    "LIF, v_threshold of each neuron": (EXACT, REFUSED, REFUSED),
    "LIF, v_leak": (WRONG, REFUSED, REFUSED),
    "LIF, v_reset": (WRONG, WRONG, REFUSED),
    "IF": (EXACT, REFUSED, EXACT),
    "CubaLIF": (EXACT, REFUSED, REFUSED),
    "CubaLIF, r = tau / dt": (EXACT, EXACT, EXACT),
    "CubaLIF, recurrent": (EXACT, REFUSED, EXACT),
    "LI": (WRONG, REFUSED, REFUSED),
    "CubaLI": (WRONG, REFUSED, REFUSED),
    "I": (WRONG, REFUSED, REFUSED),
    "Scale": (WRONG, REFUSED, REFUSED),
    "Threshold": (WRONG, REFUSED, REFUSED),
    "Delay": (WRONG, REFUSED, REFUSED),
    "Conv2d, SumPool2d, Flatten": (ALONE, ALONE, EXACT),
    "Conv2d, AvgPool2d, Flatten": (EITHER, ALONE, EXACT),
    "Conv2d with groups": (ALONE, ALONE, EXACT),
}


def network(name):
    shape = (2, 6, 6) if name.startswith("Conv") else (4,)
    return ns.Network(*NETWORKS[name](), dt=1.0, device="reference", input_shape=shape), spikes(*shape)


def answers(peer, path, x):
    """(what a peer hands out, whether it takes several samples at once)."""
    try:
        return peer.run(peer.load(path), x), True
    except RuntimeError:                # shapes that do not fit
        return np.stack([peer.run(peer.load(path), x[:, b]) for b in range(x.shape[1])], axis=1), False


def outcome(peer, path, x, ours):
    try:
        theirs, together = answers(peer, path, x)
    except Exception:       # noqa: BLE001  peers refuse with whatever they stumble over
        return REFUSED
    if theirs.shape != ours.shape or not np.allclose(theirs, ours, rtol=1e-4, atol=1e-4):
        return WRONG
    return EXACT if together else ALONE


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("peer", PEERS)
def test_what_peers_make_of_our_files(peer, name, tmp_path):
    need(MODULES[peer], "nir")
    net, x = network(name)
    path = tmp_path / "net.nir"
    ns.nir.write(net, path, unit=DT)
    ours, _ = net.run(x)
    assert ours.any()
    assert outcome(PEERS[peer], path, x, ours) in OUTCOMES[name][list(PEERS).index(peer)]


def test_the_guide_has_every_line():
    page = guide.page("nir")
    columns = [f"| {name} |" for name in NETWORKS]
    assert [line for line in columns if line not in page] == []

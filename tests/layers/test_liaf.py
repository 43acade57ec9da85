"""LIAF-Net's neuron in networks: gradients of every learnable setting, modes, what is refused, files."""

import naive
import numpy as np
import pytest

import numsnn as ns

LEARN = ("alpha", "beta", "v_threshold", "v_reset")


def data(seed=0, steps=12, batch=5, n=4):
    rng = np.random.default_rng(seed)
    return rng.normal(0.4, 1.0, (steps, batch, n)), rng.integers(0, 3, batch)


@pytest.mark.parametrize("related", [True, False])
@pytest.mark.parametrize("activation", ["selu", "tanh", "sigmoid", "identity", "relu"])
def test_gradients_of_networks(activation, related):
    """Analog neurons below spiking ones, everything learned, one value shared."""
    x, labels = data()
    analog = ns.LIAF(7, activation=activation, threshold_related=related, learn=LEARN, shared="alpha",
                     beta=0.05, v_reset=-0.1, surrogate="multi_gaussian")
    spiking = ns.LIAF(6, output="spike", recurrent=True, learn=LEARN, surrogate="gaussian")
    net = ns.Network(ns.Dense(4, 7), analog, ns.Dense(7, 6), spiking, ns.Dense(6, 3), ns.OverTime("mean"),
                     seed=1, device="reference")
    assert net.params["liaf0.alpha"].shape == (1,) and net.params["liaf1.alpha"].shape == (6,)
    assert max(ns.check_gradients(net, x, labels).values()) < 1e-6


def test_gradients_of_the_rectangle():
    """LIAF's own surrogate; its smooth twin has kinks, which finite differences rarely meet."""
    x, labels = data(3)
    net = ns.Network(ns.Dense(4, 7), ns.LIAF(7, learn=LEARN, activation="tanh"), ns.Dense(7, 3),
                     ns.OverTime("mean"), seed=1, device="reference")
    assert net.layers["liaf0"].surrogate.name == "rectangle" and net.layers["liaf0"].comparator == ">="
    ns.check_gradients(net, x, labels)


def test_against_the_papers_list_of_steps():
    """The compiled network against naive.py, in float64, hard spikes, step by step."""
    x, _ = data(1)
    settings = {"activation": "selu", "alpha": 0.6, "beta": 0.1, "v_threshold": 0.7, "v_reset": -0.2}
    net = ns.Network(ns.LIAF(4, **settings), dtype="float64")
    y, _, seen = net.run(x, record={"liaf0": ("spike", "v")})
    membrane, spike = seen["liaf0"]["v"], seen["liaf0"]["spike"]
    for b in range(5):
        for n in range(4):
            v = 0.0
            for t in range(12):
                u, f, v, out = naive.liaf(float(x[t, b, n]), v, related=True, **settings)
                v = v.x
                assert f.x == spike[t, b, n]
                assert abs(u - membrane[t, b, n]) < 1e-12
                assert abs(out.x - y[t, b, n]) < 1e-12
    assert 0.1 < spike.mean() < 0.9


def test_devices_threads_and_steps_agree():
    x, labels = data(2, batch=19)
    cpu, reference = (ns.Network(ns.Dense(4, 9), ns.LIAF(9, activation="tanh", learn=LEARN), ns.Dense(9, 3),
                                 ns.LI(3), seed=2, device=device) for device in ("cpu", "reference"))
    x = x.astype(np.float32)
    y, _ = cpu.run(x)
    assert np.array_equal(y, reference.run(x)[0])
    state, steps = None, []
    for t in range(12):
        out, state = cpu.step(x[t], state)
        steps.append(out)
    assert np.array_equal(np.stack(steps), y)
    labels = np.broadcast_to(labels[0], (12, 19))
    a, b = (net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads for net in (cpu, reference))
    for name in a:
        assert np.abs(a[name] - b[name]).max() <= 1e-5 * max(1, np.abs(b[name]).max()), name


def test_saved_and_loaded(tmp_path):
    net = ns.Network(ns.Dense(4, 5), ns.LIAF(5, activation="sigmoid", threshold_related=False), seed=3)
    ns.save(net, tmp_path / "net.h5")
    back = ns.load(tmp_path / "net.h5")
    x = data()[0]
    assert np.array_equal(net.run(x)[0], back.run(x)[0]) and back.layers["liaf0"].activation.name == "sigmoid"


def test_refused():
    message = ("v_threshold is to be learned, but with threshold_related=False and detach_reset=True "
               "no gradient")
    with pytest.raises(ValueError, match=message):
        ns.LIAF(4, learn="v_threshold", threshold_related=False, detach_reset=True)
    ns.LIAF(4, learn="v_threshold", threshold_related=False, detach_reset=True, output="spike")
    with pytest.raises(ValueError, match="unknown activation 'gelu'"):
        ns.LIAF(4, activation="gelu")
    with pytest.raises(ValueError, match="ALIF has no analog output, and so no activation"):
        ns.ALIF(4, activation="relu")

"""Networks of other libraries, read here: the second table of the guide's page on NIR, line by line.

Every test is skipped where its library is missing (helpers/nir_peers.py says which to install).  One that
fails with a newer version of a peer says that the table is out of date.
"""

import numpy as np
import pytest
from nir_peers import DT, MODULES, PEERS, fill, need, spikes

import numsnn as ns

EULER = {"dt": DT, "integrator": "euler"}
HARD, SOFT = {**EULER, "reset": "hard"}, {**EULER, "reset": "soft"}
NEXT = {"reset_when": "next"}


def read(path, **conventions):
    return ns.nir.read(path, device="reference", **conventions)


def same(ours, theirs):
    """Spikes bit for bit, other numbers to rounding."""
    assert theirs.any() and ours.shape == theirs.shape
    if set(np.unique(theirs)) <= {0, 1}:
        assert (ours != theirs).sum() == 0
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


# ---- snnTorch's networks


def snntorch_net(*cells, sizes):
    """Linear layers between populations that keep their state themselves."""
    torch = need("torch")
    layers = [part for cell, (n_in, n_out) in zip(cells, sizes, strict=True)
              for part in (torch.nn.Linear(n_in, n_out), cell)]
    return fill(torch.nn.Sequential(*layers))


def leaky(n, threshold=1.0, **more):
    torch, snn = need("torch", "snntorch")
    return snn.Leaky(torch.full((n,), 0.9), threshold=torch.full((n,), threshold), init_hidden=True, **more)


def synaptic(n, threshold=5.0, **more):
    torch, snn = need("torch", "snntorch")
    return snn.Synaptic(torch.full((n,), 0.8), torch.full((n,), 0.9), threshold=torch.full((n,), threshold),
                        init_hidden=True, **more)


def recurrent(n, name, *decays, **more):
    cell = getattr(need("snntorch"), name)(*decays, threshold=2.0, init_hidden=True, **more)
    cell.threshold.data = need("torch").full((n,), 2.0)
    return cell


ZERO, SUBTRACT = {"reset_mechanism": "zero"}, {"reset_mechanism": "subtract"}
AT_ONCE = {"reset_delay": False}
SNNTORCH = {
    "Leaky, zero": (lambda: snntorch_net(leaky(3, **ZERO), sizes=[(4, 3)]), HARD),
    "Leaky, zero, at once": (lambda: snntorch_net(leaky(3, **ZERO, **AT_ONCE), sizes=[(4, 3)]), HARD),
    "Leaky": (lambda: snntorch_net(leaky(3), sizes=[(4, 3)]), {**SOFT, **NEXT}),
    "two Leaky": (lambda: snntorch_net(leaky(8), leaky(3), sizes=[(4, 8), (8, 3)]), {**SOFT, **NEXT}),
    # where v is above the threshold after a reset too, "at once" does other than subtract: here it never is
    "Leaky, at once": (lambda: snntorch_net(leaky(3, 3.0, **AT_ONCE), sizes=[(4, 3)]), SOFT),
    "Synaptic, zero, at once": (lambda: snntorch_net(synaptic(3, **ZERO, **AT_ONCE), sizes=[(4, 3)]), HARD),
    "Synaptic, at once": (lambda: snntorch_net(synaptic(3, 20.0, **AT_ONCE), sizes=[(4, 3)]), SOFT),
    "RLeaky, zero, at once": (lambda: snntorch_net(
        recurrent(6, "RLeaky", 0.9, linear_features=6, **ZERO, **AT_ONCE), sizes=[(4, 6)]), HARD),
    "RLeaky": (lambda: snntorch_net(recurrent(6, "RLeaky", 0.9, linear_features=6), sizes=[(4, 6)]),
               {**SOFT, **NEXT}),
    "RLeaky, zero": (lambda: snntorch_net(recurrent(6, "RLeaky", 0.9, linear_features=6, **ZERO),
                                          sizes=[(4, 6)]), {**HARD, **NEXT}),
    "RLeaky, one to one": (lambda: snntorch_net(
        recurrent(6, "RLeaky", 0.9, V=need("torch").zeros(6), all_to_all=False), sizes=[(4, 6)]),
        {**SOFT, **NEXT}),
}


@pytest.mark.parametrize("name", SNNTORCH)
def test_networks_of_snntorch_are_read(name, tmp_path):
    make, conventions = SNNTORCH[name]
    need("snntorch", "nir")
    module, x = make(), spikes(4)
    theirs = PEERS["snnTorch"].own_run(module, x)
    PEERS["snnTorch"].export(module, x, tmp_path / "net.nir")
    net = read(tmp_path / "net.nir", **conventions)
    same(net.run(x)[0], theirs)


def pictures_of(nn, populations):
    """conv, population, pool, flatten, dense, population."""
    first, second = populations
    return fill(need("torch").nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), first, nn.AvgPool2d(2),
                                            nn.Flatten(), nn.Linear(27, 3), second), -0.3, 0.6)


def test_pictures_of_snntorch_are_read(tmp_path):
    torch, snn = need("torch", "snntorch")
    populations = [snn.Leaky(torch.full(shape, 0.9), threshold=torch.ones(shape), init_hidden=True, **ZERO)
                   for shape in ((3, 6, 6), (3,))]
    module, x = pictures_of(torch.nn, populations), spikes(2, 6, 6)
    theirs = PEERS["snnTorch"].own_run(module, x)
    PEERS["snnTorch"].export(module, x, tmp_path / "net.nir")
    same(read(tmp_path / "net.nir", **HARD).run(x)[0], theirs)


# ---- Norse's


def norse_net(*parts):
    torch, norse = need("torch", "norse.torch")
    layers = [torch.nn.Linear(*p) if isinstance(p, tuple) else p for p in parts]
    return fill(norse.SequentialState(*layers), -2, 4)


def lif_box(n, leak=0.0, **more):
    torch, norse = need("torch", "norse.torch")
    p = {"tau_mem_inv": 100.0, "v_th": 0.3, "v_leak": leak}
    p = {key: torch.full((n,), value) for key, value in p.items()}
    return norse.LIFBoxCell(norse.LIFBoxParameters(**p, **more))


def li_box(n, leak=0.0):
    torch, norse = need("torch", "norse.torch")
    return norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=torch.full((n,), 100.0),
                                                 v_leak=torch.full((n,), leak)))


NORSE_STEP = {"dt": 1e-3}       # Norse's own
NORSE = {
    "LIFBoxCell": (lambda: norse_net((4, 3), lif_box(3)), HARD),
    "LIFBoxCell, subtract": (lambda: norse_net((4, 3), lif_box(
        3, reset_method=need("norse.torch").functional.reset.reset_subtract)), SOFT),
    "two LIFBoxCell": (lambda: norse_net((4, 8), lif_box(8), (8, 3), lif_box(3)), HARD),
    "LIBoxCell": (lambda: norse_net((4, 3), li_box(3)), HARD),
    "LIFBoxCell, LIBoxCell": (lambda: norse_net((4, 8), lif_box(8), (8, 3), li_box(3)), HARD),
}


@pytest.mark.parametrize("name", NORSE)
def test_networks_of_norse_are_read(name, tmp_path):
    make, conventions = NORSE[name]
    need("norse.torch", "nir")
    module, x = make(), spikes(4)
    theirs = PEERS["Norse"].run(module, x)
    PEERS["Norse"].export(module, x, tmp_path / "net.nir")
    same(read(tmp_path / "net.nir", **{**conventions, **NORSE_STEP}).run(x)[0], theirs)


def test_norse_begins_at_rest(tmp_path):
    """Where v_leak is not 0 its membrane starts there, ours at 0: the first steps differ, then none."""
    need("norse.torch", "nir")
    module, x = norse_net((4, 3), li_box(3, leak=0.1)), spikes(4)
    theirs = PEERS["Norse"].run(module, x)
    PEERS["Norse"].export(module, x, tmp_path / "net.nir")
    ours = read(tmp_path / "net.nir", **{**HARD, **NORSE_STEP}).run(x)[0]
    faded = 0.1 * 0.9 ** np.arange(1, len(x) + 1)
    np.testing.assert_allclose(theirs - ours, np.broadcast_to(faded[:, None, None], ours.shape), atol=1e-5)


def test_norses_if_counts_steps(tmp_path):
    """Its r is 1 and its input is not multiplied by dt: dt=1 reads it."""
    torch, norse = need("torch", "norse.torch")
    module = norse_net((4, 3), norse.IAFCell(norse.IAFParameters(v_th=torch.full((3,), 5.0))))
    x = spikes(4)
    theirs = PEERS["Norse"].run(module, x)
    PEERS["Norse"].export(module, x, tmp_path / "net.nir")
    same(read(tmp_path / "net.nir", **{**HARD, "dt": 1.0}).run(x)[0], theirs)


def test_norses_current_is_larger_than_its_file_says(tmp_path):
    """LIFCell adds an input to the current as it is; the file's w_in = 1 adds dt / tau_syn of it."""
    torch, norse = need("torch", "norse.torch")
    p = {"tau_syn_inv": 200.0, "tau_mem_inv": 100.0, "v_th": 3.0, "v_leak": 0.0}
    module = norse_net((4, 3), norse.LIFCell(norse.LIFParameters(
        **{key: torch.full((3,), value) for key, value in p.items()})))
    x = spikes(4)
    theirs = PEERS["Norse"].run(module, x)
    PEERS["Norse"].export(module, x, tmp_path / "net.nir")
    net = read(tmp_path / "net.nir", **{**HARD, **NORSE_STEP})
    assert (net.run(x)[0] != theirs).any()
    for key in net.params:
        net.params[key] *= 5       # tau_syn / dt
    same(net.run(x)[0], theirs)


# ---- SpikingJelly's


def jelly_net(*parts):
    torch, layer = need("torch", "spikingjelly.activation_based.layer")
    return fill(torch.nn.Sequential(*(layer.Linear(*p) if isinstance(p, tuple) else p for p in parts)))


def jelly(name, **more):
    return getattr(need("spikingjelly.activation_based.neuron"), name)(**more)


JELLY = {
    "IFNode": lambda: jelly_net((4, 3), jelly("IFNode")),
    "LIFNode": lambda: jelly_net((4, 3), jelly("LIFNode", tau=10.0, v_threshold=0.2)),
    "LIFNode, decay_input=False": lambda: jelly_net((4, 3), jelly("LIFNode", tau=10.0, decay_input=False)),
    "ParametricLIFNode": lambda: jelly_net((4, 3), jelly("ParametricLIFNode", init_tau=4.0, v_threshold=0.3)),
    "CUBALIFNode": lambda: jelly_net((4, 3), jelly("CUBALIFNode", c_decay=0.8, v_decay=0.9, v_threshold=3.0)),
    "two LIFNode": lambda: jelly_net((4, 8), jelly("LIFNode", tau=4.0, v_threshold=0.2), (8, 3),
                                     jelly("LIFNode", tau=4.0, v_threshold=0.2)),
}


@pytest.mark.parametrize("name", JELLY)
def test_networks_of_spikingjelly_are_read(name, tmp_path):
    need("spikingjelly.activation_based.neuron", "nir")
    module, x = JELLY[name](), spikes(4)
    theirs = PEERS["SpikingJelly"].own_run(module, x)
    PEERS["SpikingJelly"].export(module, x, tmp_path / "net.nir")
    same(read(tmp_path / "net.nir", **HARD).run(x)[0], theirs)


def test_pictures_of_spikingjelly_are_read(tmp_path):
    layer = need("spikingjelly.activation_based.layer")
    populations = [jelly("LIFNode", tau=4.0, v_threshold=0.3) for _ in range(2)]
    module, x = pictures_of(layer, populations), spikes(2, 6, 6)
    theirs = PEERS["SpikingJelly"].own_run(module, x)
    PEERS["SpikingJelly"].export(module, x, tmp_path / "net.nir")
    same(read(tmp_path / "net.nir", **HARD).run(x)[0], theirs)


def test_spikingjelly_spikes_at_the_threshold(tmp_path):
    """v >= v_threshold, where NIR says >: it shows where a membrane meets its threshold exactly."""
    torch = need("torch")
    module = jelly_net((1, 1), jelly("IFNode", v_threshold=1.0))
    with torch.no_grad():
        module[0].weight.fill_(0.5)
        module[0].bias.fill_(0)
    x = np.ones((200, 1, 1), np.float32)
    theirs = PEERS["SpikingJelly"].own_run(module, x)
    PEERS["SpikingJelly"].export(module, x, tmp_path / "net.nir")
    assert theirs.sum() == 100
    assert read(tmp_path / "net.nir", **HARD).run(x)[0].sum() == 66


def test_spikingjelly_begins_at_v_reset(tmp_path):
    """With a v_reset its membranes begin there, ours at 0; the first spikes differ, then none."""
    module, x = jelly_net((4, 3), jelly("LIFNode", tau=10.0, decay_input=False, v_reset=-0.2)), spikes(4)
    theirs = PEERS["SpikingJelly"].own_run(module, x)
    PEERS["SpikingJelly"].export(module, x, tmp_path / "net.nir")
    ours = read(tmp_path / "net.nir", **HARD).run(x)[0]
    assert (ours != theirs).any()
    same(ours[50:], theirs[50:])


# ---- what they refuse, or do not get right themselves

REFUSED_BY_EXPORT = {
    "snnTorch, one number for all": ("snnTorch", lambda: fill(need("torch").nn.Sequential(
        need("torch").nn.Linear(4, 3), need("snntorch").Leaky(0.9, init_hidden=True)))),
    "Norse, one number for all": ("Norse", lambda: norse_net((4, 3), need("norse.torch").LIFBoxCell())),
    "Norse, recurrent": ("Norse", lambda: norse_net((4, 3), need("norse.torch").LIFRecurrentCell(3, 3))),
    "Norse, Flatten": ("Norse", lambda: norse_net(need("torch").nn.Flatten(0), (4, 3), lif_box(3))),
    "SpikingJelly, soft reset": ("SpikingJelly", lambda: jelly_net((4, 3), jelly("LIFNode", v_reset=None))),
    "SpikingJelly, recurrent": ("SpikingJelly", lambda: jelly_net(
        need("spikingjelly.activation_based.layer").LinearRecurrentContainer(jelly("LIFNode"), 4, 4))),
}


@pytest.mark.parametrize("name", REFUSED_BY_EXPORT)
def test_networks_that_their_export_refuses(name, tmp_path):
    peer, make = REFUSED_BY_EXPORT[name]
    need(MODULES[peer], "nir")
    module = make()
    with pytest.raises((AttributeError, NotImplementedError, TypeError, ValueError)):
        PEERS[peer].export(module, spikes(4), tmp_path / "net.nir")


def test_snntorchs_recurrent_synaptic_at_once_fails():
    module = snntorch_net(recurrent(6, "RSynaptic", 0.8, 0.9, linear_features=6, **AT_ONCE), sizes=[(4, 6)])
    with pytest.raises(TypeError):
        PEERS["snnTorch"].own_run(module, spikes(4))


def test_snntorch_needs_to_be_told_which_axis_are_samples():
    torch, snntorch = need("torch", "snntorch.export_nir")
    with pytest.raises(ValueError, match="type mismatch"):
        snntorch.export_to_nir(snntorch_net(leaky(3), sizes=[(4, 3)]), torch.from_numpy(spikes(4)[0]))


def test_norses_default_makes_time_constants_a_thousandth(tmp_path):
    torch, norse, nir = need("torch", "norse.torch", "nir")
    module, x = norse_net((4, 3), lif_box(3)), spikes(4)
    theirs = PEERS["Norse"].run(module, x)
    nir.write(str(tmp_path / "net.nir"), norse.to_nir(module, torch.from_numpy(x[0, 0])))
    same(read(tmp_path / "net.nir", **{**HARD, "dt": 1e-6}).run(x)[0], theirs)


def test_only_lif_resets_in_the_next_step(tmp_path):
    net = ns.Network(ns.Dense(4, 3), ns.IF(3), device="reference")
    ns.nir.write(net, tmp_path / "net.nir")
    with pytest.raises(ns.nir.NirError, match="reset_when='next' is for LIF"):
        read(tmp_path / "net.nir", dt=1.0, reset_when="next")

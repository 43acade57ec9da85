"""Spyx, Sinabs and Rockpool: their dynamics are among ours, their files say other gains than they compute.

Each test reads the file with the conventions of the guide's page on NIR and multiplies the weights by what
the file leaves out; the spikes are then theirs.  Skipped where a library is missing:
pip install spyx sinabs rockpool nir (Sinabs wants pbr too).
"""

import numpy as np
import pytest
from nir_peers import DT, SAMPLES, STEPS, need, quiet, spikes, uniform

import numsnn as ns

ALPHA, BETA = 0.7, 0.9          # of Spyx' synapse and membrane
TAU, TAU_SYN = 20.0, 10.0       # in steps, of Sinabs and Rockpool


def answers(path, x, factor, **conventions):
    net = ns.nir.read(path, device="reference", **conventions)
    before = net.run(x)[0]
    for key in net.params:
        net.params[key] *= factor
    return before, net.run(x)[0]


# ---- Spyx: r = beta and w_in = 1 in its files, tau / dt and tau_syn / dt in what it computes

LATE = 1                        # a spike is found one step after its membrane crossed the threshold
SPYX = {
    "IF": ({"reset": "soft"}, 1.0),
    "LIF": ({"reset": "soft", "reset_when": "next"}, 1 / ((1 - BETA) * BETA)),
    "CuBaLIF": ({"reset": "soft"}, 1 / ((1 - ALPHA) * (1 - BETA) * BETA)),
}


@pytest.mark.parametrize("name", SPYX)
def test_spyx(name, tmp_path):
    spyx, cells, nnx, jnp, nir = need("spyx.nir", "spyx.nn", "flax.nnx", "jax.numpy", "nir")
    rngs, x = nnx.Rngs(0), spikes(4)
    cell = {"IF": lambda: cells.IF((3,)), "LIF": lambda: cells.LIF((3,), BETA, rngs=rngs),
            "CuBaLIF": lambda: cells.CuBaLIF((3,), alpha=ALPHA, beta=BETA, rngs=rngs)}[name]()
    linear = nnx.Linear(4, 3, use_bias=False, rngs=rngs)
    linear.kernel[...] = jnp.array(uniform((4, 3), -0.3, 0.6, 0))
    model = cells.Sequential(linear, cell)
    theirs = np.asarray(cells.run(model, jnp.array(x))[0])
    nir.write(str(tmp_path / "net.nir"),
              spyx.to_nir(model, {"input": np.array([4])}, {"output": np.array([3])}, dt=1.0))
    conventions, factor = SPYX[name]
    before, ours = answers(tmp_path / "net.nir", x, factor, dt=1.0, integrator="euler", **conventions)
    assert theirs.any() and np.array_equal(ours[:-LATE], theirs[LATE:])
    assert factor == 1 or (before[:-LATE] != theirs[LATE:]).any()


# ---- Sinabs: tau is in steps, and its files say r = 1 where an input is added as it is


@pytest.mark.parametrize("name", ["IAF", "LIF"])
def test_sinabs(name, tmp_path):
    torch, sinabs, sl, nir = need("torch", "sinabs.nir", "sinabs.layers", "nir")
    n = {"num_timesteps": STEPS, "spike_threshold": torch.full((3,), 3.0)}
    leak = {"tau_mem": torch.full((3,), TAU), "norm_input": False}
    cell = sl.IAFSqueeze(**n) if name == "IAF" else sl.LIFSqueeze(**leak, **n)
    model, x = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False), cell), spikes(4)
    with torch.no_grad(), quiet():
        model[0].weight.copy_(torch.from_numpy(uniform((3, 4), -0.3, 0.6, 0)))
        flat = torch.from_numpy(x.transpose(1, 0, 2).reshape(-1, 4))
        theirs = model(flat).numpy().reshape(SAMPLES, STEPS, 3).transpose(1, 0, 2)
        nir.write(str(tmp_path / "net.nir"), sinabs.to_nir(model, flat))
    factor = 1.0 if name == "IAF" else 1 / -np.expm1(-1 / TAU)
    before, ours = answers(tmp_path / "net.nir", x, factor, dt=1.0, integrator="exponential", reset="soft")
    assert theirs.any() and np.array_equal(ours, theirs)
    assert factor == 1 or (before != theirs).any()


# ---- Rockpool: r = tau exp(-dt / tau) / dt in its files, 1 / (1 - alpha) in what it computes


@pytest.mark.parametrize("name", ["LIFTorch", "LIFNeuronTorch"])
@pytest.mark.filterwarnings("ignore")       # its Input counts the samples, which the reader says
def test_rockpool(name, tmp_path):
    torch, modules, combinators, rockpool, nir = need(
        "torch", "rockpool.nn.modules", "rockpool.nn.combinators", "rockpool.nn.modules.torch.nir", "nir")
    dt, x = 1e-3, spikes(4)
    taus = {"tau_mem": TAU * dt} | ({"tau_syn": TAU_SYN * dt} if name == "LIFTorch" else {})
    cell = getattr(modules, name)(3, threshold=3.0, dt=dt, bias=0.0, max_spikes_per_dt=1, **taus)
    weight = torch.from_numpy(uniform((4, 3), -0.1, 0.3, 0) * (1 if name == "LIFTorch" else 4))
    model = combinators.Sequential(modules.LinearTorch((4, 3), weight=weight), cell)
    with torch.no_grad():
        theirs = model(torch.from_numpy(x.transpose(1, 0, 2)))[0].numpy().transpose(1, 0, 2)
    with quiet():
        nir.write(str(tmp_path / "net.nir"), rockpool.to_nir(model))
    decay, decay_syn = np.exp(-1 / TAU), np.exp(-1 / TAU_SYN)
    factor = 1 / (TAU * decay * (1 - decay))
    factor *= decay_syn / (1 - decay_syn) if name == "LIFTorch" else 1
    before, ours = answers(tmp_path / "net.nir", x, factor, dt=dt, integrator="exponential", reset="soft")
    assert theirs.any() and np.array_equal(ours, theirs)
    assert (before != theirs).any()


# ---- our files, read by them


OURS = {
    "IF": lambda: ns.IF(3, v_threshold=4, reset="soft"),
    "LIF": lambda: ns.LIF(3, v_threshold=4, reset="soft", reset_when="next", integrator="euler"),
    "CubaLIF": lambda: ns.CubaLIF(3, v_threshold=20, reset="soft", integrator="euler", input_scale="1"),
}


def written(name, path):
    weight = uniform((4, 3), -1, 2, 0)
    net = ns.Network(ns.Dense(4, 3, weight=lambda rng, shape: weight), OURS[name](), device="reference")
    ns.nir.write(net, path, unit=DT)
    return net, need("nir").read(str(path))


@pytest.mark.parametrize("name", OURS)
def test_spyx_reads_ours(name, tmp_path):
    """Where r = tau / dt and w_in = tau_syn / dt, which it takes for granted; a step late."""
    spyx, jnp = need("spyx.nir", "jax.numpy")
    net, graph = written(name, tmp_path / "net.nir")
    x = spikes(4)
    theirs = np.asarray(spyx.from_nir(graph, jnp.array(x), dt=DT)[1])
    ours, _ = net.run(x)
    assert ours.any() and np.array_equal(ours[:-LATE], theirs[LATE:])


def test_rockpool_cannot_read_a_lif(tmp_path):
    """It asks NIR's LIF for tau_mem, which is called tau."""
    rockpool = need("rockpool.nn.modules.torch.nir")
    with pytest.raises(AttributeError, match="tau_mem"):
        rockpool.from_nir(written("LIF", tmp_path / "net.nir")[1])

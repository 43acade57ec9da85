"""Published files, and what other libraries made of them.

One LIF (tau 2.5 ms, threshold 0.1) with pulses, recorded by five libraries and in closed form; a network that
reads Braille letters.  Both from Pedersen et al., Nature Communications 15:8122 (2024).
"""

import numpy as np
import pytest
from nir_files import chain, node, write

import numsnn as ns
from numsnn.datasets.braille import braille

DT, THETA, GAIN = 1e-4, 0.1, 1 - np.exp(-0.04)
PULSES = [60, 220, 270, 310, 320, 350, 370, 400, 410, *range(430, 540, 10), *range(670, 790, 10), 840, 850]
USUAL, UNSCALED = [460, 510, 710, 760], [450, 500, 710, 760]
# how it is read, what the recorded input and membrane are multiplied with, spikes, largest difference of v
RECORDED = {
    "norse": ({}, 1, 1, USUAL, 5e-8),
    "snntorch": ({}, 1, 25, USUAL, 6e-7),
    "nengo": ({"integrator": "exponential"}, 1, 10, USUAL, 2e-7),
    "sinabs": ({"integrator": "exponential", "reset": "soft"}, 1 / GAIN, 1, UNSCALED, 1e-8),
    "exact": ({}, 1, 1, USUAL, 7e-3),
}


@pytest.fixture
def lif_file(tmp_path):
    """The published file's content."""
    one = np.ones(1, "f4")
    lif = node("LIF", r=one, tau=one * 0.0025, v_leak=one * 0, v_threshold=one * 0.1)
    content = chain(node("Affine", weight=np.ones((1, 1), "f4"), bias=one * 0), lif)
    return write(tmp_path / "lif.nir", content, version="0.1.1")


def run(path, x, **how):
    """(spikes, membrane after the reset) of the LIF."""
    net = ns.nir.read(path, dt=DT, device="reference", **how)
    lif = list(net.layers)[-1]
    s, _, seen = net.run(x.reshape(-1, 1, 1), record={lif: "v"})
    s, u = s.ravel(), seen[lif]["v"].ravel()
    return np.flatnonzero(s).tolist(), u - s * (THETA if how.get("reset") == "soft" else u)


@pytest.mark.parametrize("library", RECORDED)
def test_spikes_of_one_neuron(lif_file, library):
    how, gain, _, spikes, _ = RECORDED[library]
    x = np.zeros(1000)
    x[PULSES] = 0.04 * gain if library == "sinabs" else gain
    assert run(lif_file, x, **how)[0] == spikes


@pytest.mark.parametrize("library", RECORDED)
def test_traces_of_one_neuron(data_folder, library):
    how, gain, scale, spikes, most = RECORDED[library]
    x, recorded, z = np.loadtxt(data_folder / "nir" / "lif" / f"lif_{library}.csv", delimiter=",").T
    found, v = run(data_folder / "nir" / "lif" / "lif_norse.nir", gain * x, **how)
    assert found == spikes == np.flatnonzero(z).tolist()
    assert np.abs(scale * v - recorded).max() < most


def test_spyx_resets_one_step_later(data_folder):
    """Its spikes are of the membrane of the step before, which it resets: the trace of reset_when="next"."""
    x, recorded, z = np.loadtxt(data_folder / "nir" / "lif" / "lif_spyx.csv", delimiter=",").T
    net = ns.nir.read(data_folder / "nir" / "lif" / "lif_norse.nir", dt=DT, device="reference")
    config = net.config()
    config["layers"][1].update(reset="soft", reset_when="next")
    late = ns.Network.from_config(config)
    late.restore(net.arrays())
    s, _, seen = late.run(x.reshape(-1, 1, 1), record={"1": "v"})
    assert np.array_equal(seen["1"]["v"].ravel(), recorded.astype("f4"))
    assert (np.flatnonzero(s) + 1).tolist() == np.flatnonzero(z).tolist() == [461, 511, 711, 761]


def test_braille_letters(data_folder):
    """Published: 0.95 in snnTorch, 0.943 in Norse (on the test set, which is not available); here 0.963."""
    path = data_folder / "nir" / "braille" / "braille_noDelay_bias_zero.nir"
    net = ns.nir.read(path, dt=DT, device="reference")
    assert [repr(layer) for layer in net.layers.values()] == [
        "Dense(12, 38)", "CubaLIF(38, recurrent)", "Dense(38, 7)", "CubaLIF(7)"]
    letters = next(braille(data_folder / "braille7" / "braille7.h5").batches(1018))
    spikes, _ = net.run(letters.x)
    assert np.mean(spikes.sum(0).argmax(1) == letters.y) > 0.955

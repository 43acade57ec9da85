"""The SRNN's recipes for SHD, SSC, S-MNIST, PS-MNIST and Speech Commands, and their stand-ins for the data.

Sizes, data, gradients, training.
"""

import struct
import zipfile

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli, recipes
from numsnn.datasets import mnist, speech, stand_in
from numsnn.formats import idx, shd
from numsnn.layers.initialise import initial
from numsnn.recipes.srnn_shd import tau
from numsnn.recipes.srnn_smnist import READOUTS, Pixels
from numsnn.signals import encode

SIZES = {"srnn-shd": 142_376, "srnn-ssc": 777_270, "srnn-smnist": 156_702, "srnn-smnist-2020": 138_014,
         "srnn-psmnist": 156_446, "srnn-gsc": 221_725}
SMALL = {"srnn-shd": "5r-4r", "srnn-ssc": "5r-4r", "srnn-smnist": "4r-4r-3", "srnn-smnist-2020": "4r-3r",
         "srnn-psmnist": "4r-4r-3", "srnn-gsc": "5-4r"}


def made(name, **settings):
    """(recipe, options) with settings in place of defaults."""
    recipe = recipes.get(name)
    return recipe, recipe.configured(settings)


# ---- networks


@pytest.mark.parametrize("name", SIZES)
def test_networks_have_the_papers_sizes(name):
    recipe, options = made(name)
    assert recipe.network(options).n_params == SIZES[name]


def test_the_network_of_2020():
    """Weights and biases of their script with 80 units of the population code, and with 50."""
    for width, n in ((80, 137_226), (50, 129_546)):
        recipe, options = made("srnn-smnist", coding="rbf", width=width, hidden="256r-128r",
                               readout="membrane")
        params = recipe.network(options).params
        assert sum(p.size for key, p in params.items() if ".tau_" not in key) == n


@pytest.mark.parametrize("name", SIZES)
def test_gradients(name, rng):
    recipe, options = made(name, hidden=SMALL[name])
    net = recipe.network(options)
    shape = (14, 3, net.input_shape[0])
    x = rng.normal(0, 0.3, shape) if name == "srnn-gsc" else rng.random(shape) * (rng.random(shape) < 0.3)
    errors = ns.check_gradients(net, x, rng.integers(0, 10, 3), samples=5)
    assert set(errors) == set(net.params) and max(errors.values()) < 1e-6


@pytest.mark.parametrize("readout", ("membrane", "integrator"))
def test_gradients_of_the_other_readouts(readout, rng):
    recipe, options = made("srnn-smnist", hidden="4r-3", readout=readout, coding="rbf", width=6)
    net = recipe.network(options)
    x, labels = rng.random((12, 3, 6)), rng.integers(0, 10, 3)
    assert max(ns.check_gradients(net, x, labels, samples=5).values()) < 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_time_constants_are_positive_whatever_is_drawn(seed):
    """N(3, 1) is below 0 once in 740 times, which would end the training before it begins."""
    drawn = initial(tau(3.0, 1.0), np.random.default_rng(seed), (5000,), "tau")
    assert drawn.min() == 0.1 and abs(drawn.mean() - 3) < 5 / 5000 ** 0.5


def test_learning_rates():
    def rates(name, epoch=0):
        recipe, options = made(name)
        optimizer, net = recipe.optimizer(options), recipe.network(options, device="reference")
        optimizer.epoch = epoch
        return {key: round(optimizer.rate(key), 9) for key in net.params}

    assert set(rates("srnn-shd").values()) == {0.01} and set(rates("srnn-shd", 10).values()) == {0.005}
    ssc = rates("srnn-ssc", 5)
    assert ssc["dense0.weight"] == 0.005
    assert ssc["alif0.tau_adp"] == 0.025
    assert ssc["alif1.tau_mem"] == ssc["li0.tau_mem"] == 0.0125
    digits = rates("srnn-smnist", 25)
    assert digits["dense0.weight"] == 0.005
    assert digits["alif0.tau_adp"] == digits["alif3.tau_mem"] == 0.01
    assert digits["alif1.tau_adp"] == 0.015
    permuted = rates("srnn-psmnist", 50)
    assert permuted["alif0.recurrent"] == 0.006
    assert permuted["alif3.tau_adp"] == 0.018
    assert permuted["alif2.tau_mem"] == 0.012
    commands = rates("srnn-gsc", 10)
    assert commands["alif1.recurrent"] == 3e-4
    assert commands["alif0.tau_adp"] == 6e-4
    assert commands["ternary0.v_threshold"] == 3e-6


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("hidden", ("4r", "4r-3"))
def test_factors_are_of_parameters_that_there_are(hidden, readout):
    recipe, options = made("srnn-smnist", hidden=hidden, readout=readout)
    net = recipe.network(options, device="reference")
    recipe.optimizer(options).update(net.params, {})


def test_recurrent_weights_begin_as_the_authors_do():
    def recurrent(name, which=0):
        recipe, options = made(name)
        return recipe.network(options).params[f"alif{which}.recurrent"]

    for name, which in (("srnn-shd", 0), ("srnn-shd", 1), ("srnn-ssc", 0), ("srnn-smnist", 0)):
        w = recurrent(name, which)
        assert np.abs(w @ w.T - np.eye(len(w))).max() < 1e-5
    for name in ("srnn-ssc", "srnn-smnist"):
        w = recurrent(name, 1)
        assert 0.98 < np.abs(w).max() / np.sqrt(6 / sum(w.shape)) <= 1 + 1e-6          # xavier_uniform
    assert not recurrent("srnn-psmnist", 0).any() and not recurrent("srnn-psmnist", 1).any()


@pytest.mark.parametrize(("name", "settings", "message"), (
    ("srnn-shd", {"hidden": "128x"},
     ("option hidden of recipe srnn-shd lists numbers of neurons such as 128r-128r, r for recurrent; "
      "got '128x'")),
    ("srnn-psmnist", {"hidden": "64r-0"}, "option hidden of recipe srnn-psmnist lists"),
    ("srnn-gsc", {"hidden": ""}, "option hidden of recipe srnn-gsc lists"),
    ("srnn-shd", {"dt": 0.2},
     "option dt of recipe srnn-shd is the length of a frame, 0.0005 to 0.05 s; got 0.2"),
    ("srnn-ssc", {"dt": 0.0}, "option dt of recipe srnn-ssc is the length"),
    ("srnn-smnist", {"coding": "latency"},
     "option coding must be one of window, window-binary, rbf, rbf-threshold; got 'latency'"),
    ("srnn-smnist", {"readout": "argmax"},
     "option readout must be one of spikes, membrane, integrator; got 'argmax'"),
    ("srnn-smnist", {"width": 0}, "option width, with coding=window, must be from 1 to 784; got 0"),
    ("srnn-smnist", {"width": 2, "coding": "rbf"}, "with coding=rbf, must be from 3 to 784; got 2"),
    ("srnn-gsc", {"limit": -1},
     "option limit of recipe srnn-gsc is a number of recordings of each word, 0 for all; got -1"),
    ("srnn-shd", {"surrogate": "step"}, "unknown surrogate 'step'")))
def test_options_that_do_not_fit(name, settings, message):
    recipe, options = made(name, **settings)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        (recipe.data(None, 0, options), recipe.network(options))


# ---- training from the command line


@pytest.mark.parametrize("name", SIZES)
def test_one_epoch_from_the_command_line(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = ["train", name, "--set", f"hidden={SMALL[name]}", "--out", "run", "--seed", "3"]
    assert cli.main([*train, "--epochs", "1"]) == 0
    out = capsys.readouterr().out
    assert "no --data given. The data are SYNTHETIC" in out
    assert "SYNTHETIC" in out.split("data: ")[1]
    assert "stand-in for" in out
    assert (tmp_path / "run" / "sequence.png").stat().st_size > 20_000
    assert cli.main(["evaluate", "run/checkpoint.h5"]) == 0
    assert "stand-in for" in capsys.readouterr().out
    assert cli.main([*train, "--epochs", "2", "--resume"]) == 0


def test_psmnist_updates_every_hundred_steps(monkeypatch):
    recipe, options = made("srnn-psmnist", hidden="3r-3")
    net, optimizer, largest = recipe.network(options), recipe.optimizer(options), []

    def update(params, grads):
        largest.append(max(np.abs(g).max() for g in grads.values()))
        return 0

    monkeypatch.setattr(optimizer, "update", update)
    train = recipe.data(None, 0, options).train[:6]
    ns.fit(net, train, loss=recipe.loss, optimizer=optimizer, epochs=1, batch_size=6, progress=False,
           **recipe.fit)
    assert len(largest) == 8 and min(largest) > 0


# ---- data


def test_windows_and_populations():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 784)).astype(np.uint8)
    samples = np.array([3, 1])
    x, lengths = Pixels(pixels, "window", 8).fetch(samples)
    assert lengths is None and x.shape == (784, 2, 8) and x.dtype == np.float32
    for t in (0, 9, 775, 776, 777, 783):
        first = min(776, t)          # the authors show the last window to the end
        np.testing.assert_array_equal(x[t], (pixels[samples, first:first + 8] / 255).astype(np.float32))
    binary, _ = Pixels(pixels, "window-binary", 4).fetch(samples)
    bright = pixels[samples, 200:204] > 25          # 25.5 / 255 is 0.1
    np.testing.assert_array_equal(binary.dense()[200], bright)
    values = pixels[samples].T[..., None] / 255
    fields, _ = Pixels(pixels, "rbf", 80).fetch(samples)
    np.testing.assert_array_equal(fields, encode.rbf(values, 80, offset=-1, density=True))
    spikes, _ = Pixels(pixels, "rbf-threshold", 80).fetch(samples)
    coded = encode.rbf_threshold(values, 80, 0.2, offset=-1, density=True)
    np.testing.assert_array_equal(spikes.dense(bool), coded)


def test_windows_are_those_of_the_data_set(tmp_path):
    """The same as datasets.mnist, which holds them in memory."""
    for part in ("train", "t10k"):
        images = stand_in.digits(20, seed=len(part))
        idx.write(tmp_path / f"{part}-images-idx3-ubyte", images.pixels)
        idx.write(tmp_path / f"{part}-labels-idx1-ubyte", images.labels)
    recipe, options = made("srnn-smnist", permutation=7)
    test = recipe.data(tmp_path, 0, options).test
    known = mnist.mnist(tmp_path, "test", seed=7, window=8)
    np.testing.assert_array_equal(test.x, known.x)
    assert (test.y == known.y).all() and test.name == "MNIST, test, pixel by pixel, permuted with seed 7"


def test_real_mnist(data_folder):
    recipe, options = made("srnn-psmnist")
    data = recipe.data(data_folder / "mnist", 0, options)
    assert [len(part) for part in data] == [54_000, 6_000, 10_000]
    batch = next(data.train.batches(300, np.random.default_rng(0)))
    assert batch.x.shape == (784, 300, 4) and 0.1 < batch.x.rate < 0.3


def test_recordings_with_fewer_classes(tmp_path, rng):
    """Files in the layout and under the names of SHD, with other recordings in them."""
    def train(label):
        times = np.sort(rng.random(50))
        return shd.Train(times, rng.integers(1, 700, 50).astype(np.uint16), label, 0)

    for part in ("train", "test"):
        trains = [train(i % 3) for i in range(20)]
        shd.write(tmp_path / f"shd_{part}.h5", trains, ("zero", "one", "two"), units=700)
    recipe, options = made("srnn-shd", dt=0.01)
    data = recipe.data(tmp_path, 0, options)
    assert data.test.name == "SHD, test (only 3 of the 20 classes are there: zero, one, two)"
    assert len(data.test.classes) == 20 and len(set(data.test.classes)) == 20
    assert data.train.x.shape == (100, 18, 700) and len(data.valid) == 2
    ns.evaluate(recipe.network(options | {"hidden": "3r"}), data.test)
    more = made("srnn-shd")[0]
    with pytest.raises(FileNotFoundError, match="expected shd_train.h5, shd_test.h5"):
        more.data(tmp_path / "elsewhere", 0, options)


def wav(seconds, rng):
    """A file of noise at 16 kHz."""
    pcm = (rng.normal(0, 3000, int(16000 * seconds))).astype("<i2").tobytes()
    form = struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    size = struct.pack("<I", len(pcm))
    return b"RIFF" + struct.pack("<I", 36 + len(pcm)) + b"WAVEfmt " + form + b"data" + size + pcm


def commands_in(path, words, rng, noise=False):
    """A zip file with recordings of words in every part."""
    speakers = []
    for part in speech.PARTS:
        speakers += [s for s in range(40) if speech.commands_part(f"{s}_nohash_0.wav") == part][:2]
    with zipfile.ZipFile(path, "w") as archive:
        for word in words:
            for speaker in speakers:
                archive.writestr(f"{word}/{speaker}_nohash_0.wav", wav(0.5, rng))
        if noise:
            archive.writestr(f"{speech.NOISE}/hum.wav", wav(12, rng))


def test_commands_use_what_is_there(tmp_path, rng):
    recipe, options = made("srnn-gsc")
    commands_in(tmp_path / "some.zip", ("bed", "cat"), rng)
    other = recipe.data(tmp_path, 0, options)                      # the folder that holds the zip file
    assert other.test.name == "Speech Commands, test (only 2 of the 12 classes are there: bed, cat)"
    assert other.train.x.shape == (101, 4, 120)
    assert sorted(set(other.train.y)) == [0, 1]
    assert len(other.test.classes) == 12
    np.testing.assert_allclose(other.train.x.std((0, 1)), 1, atol=1e-5)
    commands_in(tmp_path / "ten.zip", ("yes", "stop", "cat"), rng)
    ten = recipe.data(tmp_path / "ten.zip", 0, options)
    assert ten.test.name == ("Speech Commands, test (of the ten words only yes, stop; "
                             "no silence, because there is no noise)")
    assert ten.test.classes == (*speech.CORE, "unknown", "silence")
    assert {ten.test.classes[y] for y in ten.test.y} <= {"yes", "stop", "unknown"}
    commands_in(tmp_path / "all.zip", (*speech.CORE, "cat"), rng, noise=True)
    whole = recipe.data(tmp_path / "all.zip", 0, options)
    assert whole.train.name == "Speech Commands, train" and set(whole.train.y) == set(range(12))
    assert len(recipe.data(tmp_path / "all.zip", 0, options | {"limit": 1}).train) < len(whole.train)


def test_real_commands(data_folder):
    recipe, options = made("srnn-gsc", limit=4)
    data = recipe.data(data_folder / "speech_commands_3words", 0, options)
    assert "only 3 of the 12 classes are there: bed, cat, happy" in data.test.name
    assert [len(part) for part in data] == [12, 12, 12] and data.train.x.shape[::2] == (101, 120)


# ---- stand-ins


def test_spoken_words_are_words():
    """Recordings of one word are alike, those of two are not: means of coarse pictures tell them apart."""
    events, labels = stand_in.spoken(60, 10, seed=1)
    again, _ = stand_in.spoken(60, 10, seed=1)
    assert events == again
    assert events.shape == (700,) and events.durations.max() < 1
    x = events.pool(50).bin(0.1, steps=10, counts=True).dense().transpose(1, 0, 2).reshape(60, -1)
    means = np.stack([x[:40][labels[:40] == c].mean(0) for c in range(10)])
    nearest = ((x[40:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == labels[40:]).mean() > 0.8
    frames = ns.signals.events.shd_frames(events)
    assert frames.shape == (250, 60, 700) and 0.01 < frames.rate < 0.04                 # SHD: about 0.02


def test_feature_sequences():
    x, labels = stand_in.features(24, 12, seed=1)
    assert x.shape == (101, 24, 120) and x.dtype == np.float32 and labels.tolist() == [*range(12), *range(12)]
    np.testing.assert_allclose(x.std(0), 1, atol=1e-4)
    alike = np.corrcoef(x.transpose(1, 0, 2)[:, :, :40].reshape(24, -1))
    assert np.diag(alike, 12).mean() > alike[:12, :12][~np.eye(12, dtype=bool)].mean() + 0.2


def test_drawn_digits():
    images = stand_in.digits(40, seed=2)
    pixels = images.pixels
    assert pixels.shape == (40, 28, 28) and pixels.dtype == np.uint8
    assert images.labels.tolist() == [*range(10)] * 4
    assert pixels.max() == 255 and 0.05 < (pixels > 127).mean() < 0.25
    assert not pixels[:, 0].any()
    assert (pixels[0] != pixels[10]).any()
    assert (stand_in.digits(40, seed=2).pixels == pixels).all()
    border = np.ones((28, 28), bool)
    border[1:-1, 1:-1] = False
    assert (pixels[:, border] > 0).mean() < 0.02


def test_stand_ins_say_what_they_are():
    for name in SIZES:
        recipe, options = made(name)
        for part in recipe.data(None, 0, options):
            assert part.source.startswith("SYNTHETIC") and part.name.startswith("stand-in for")

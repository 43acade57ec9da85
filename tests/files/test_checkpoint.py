"""Checkpoints: sealed, damaged in every way, not to be saved, never misread."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from disks import full_after
from mutations import mutations
from scripts import command, environment_of

import numsnn as ns
from numsnn.files import CheckpointError, seal
from numsnn.files.checkpoint import describe, load_training
from numsnn.formats import FormatError, hdf5

h5py = pytest.importorskip("h5py")


def data():
    rng = np.random.default_rng(0)
    return ns.datasets.Dataset((rng.random((10, 12, 4)) < 0.3).astype("f4"), rng.integers(0, 2, 12))


def network(**more):
    return ns.Network(ns.Dense(4, 5), ns.ALIF(5, recurrent=True, learn="tau_mem"), ns.BatchNorm(),
                      ns.Dense(5, 2), ns.LI(2), ns.OverTime("mean"), device="reference", **more)


def trained(path, **more):
    how = {"loss": ns.loss.CrossEntropy(), "optimizer": ns.optim.Adam(0.01), "epochs": 2, "batch_size": 6,
           "progress": False, "checkpoint": path, **more}
    net = how.pop("net", None) or network()
    return net, ns.fit(net, data(), data(), **how)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of the checkpoint of a training."""
    path = tmp_path_factory.mktemp("good") / "c.h5"
    trained(path)
    return path.read_bytes()


@pytest.fixture
def path(good, tmp_path):
    (tmp_path / "c.h5").write_bytes(good)
    return tmp_path / "c.h5"


@pytest.fixture
def untried(monkeypatch):
    """Files without a seal are read at once, not by a process of their own first."""
    monkeypatch.setattr("numsnn.files.stored.sound", lambda path: None)


def content(path):
    training = load_training(path)
    arrays = {**training.net.arrays(), **{f"best {key}": a for key, a in training.best.items()}}
    for slot, kept in training.optimizer.state.items():
        arrays |= {f"{slot} {key}": a for key, a in kept.items()}
    facts = (training.facts, training.optimizer.config(), training.optimizer.steps, training.net.config())
    return repr(sorted((key, a.tobytes()) for key, a in arrays.items())) + repr(facts)


# ---- the seal


def test_the_seal_is_the_digest_of_what_stands_before_it(path):
    import hashlib
    content = path.read_bytes()
    body, line = content[:-seal.LENGTH], content[-seal.LENGTH:]
    assert line == b"\nnumsnn checkpoint sha256 " + hashlib.sha256(body).hexdigest().encode() + b"\n"
    with h5py.File(path, "r") as file:                      # any HDF5 program reads it
        assert "params/dense0/weight" in file


def test_damaged_files_are_refused_or_right(path, good, untried):
    right, same = content(path), 0
    for bad in mutations(good, 90, 3):
        path.write_bytes(bad)
        try:
            assert content(path) == right
            same += 1
        except CheckpointError:
            pass
    assert same < 10


def test_every_byte_counts(path, good):
    for at in np.random.default_rng(1).integers(len(good) - seal.LENGTH, size=40):
        bad = bytearray(good)
        bad[at] ^= 1
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match="its content is not what was written"):
            describe(path)


def test_changed_by_another_program(path, untried):
    """The seal is gone with the change; who wants it so says so."""
    with h5py.File(path, "r+") as file:
        file["params/dense0/weight"][0, 0] = 7
    for call in (ns.load, load_training, describe):
        with pytest.raises(CheckpointError, match="another program has changed the file"):
            call(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["sealed"]
    assert ns.load(path, which="last").params["dense0.weight"][0, 0] == 7


def test_a_file_without_a_seal_is_tried_by_another_process(path, monkeypatch):
    with h5py.File(path, "r+") as file:
        del file.attrs["sealed"]
    assert load_training(path).facts["epoch"] == 1
    old = path.read_bytes()
    path.write_bytes(old[:len(old) // 2])
    with pytest.raises(CheckpointError, match=r"cannot be opened as HDF5: .*truncated"):
        ns.load(path)
    path.write_bytes(old)
    monkeypatch.setattr(seal, "SOUND", "while True: pass")
    monkeypatch.setattr(seal, "SECONDS", 0.2)
    with pytest.raises(CheckpointError, match=r"does not come to an end with it in 0\.2 s"):
        ns.load(path)
    monkeypatch.setattr(seal, "SOUND", "import os; os.abort()")
    monkeypatch.setattr(seal, "SECONDS", 60)
    with pytest.raises(CheckpointError, match="the HDF5 library broke down"):
        ns.load(path)
    monkeypatch.setattr(sys, "executable", "/no/such/program")
    with pytest.warns(UserWarning, match="no process could be started to try it"):
        ns.load(path)


# ---- what it may hold


def put(key, value):
    """A change: another data set in the place of one."""
    def change(file):
        del file[key]
        if value is not None:
            file[key] = value
    return change


def attribute(value):
    def change(file):
        file.attrs["format_version"] = value
    return change


def said(key="training", **facts):
    """A change of what is written as JSON; a fact None is left out."""
    def change(file):
        text = json.loads(file[key].asstr()[()])
        text.update(facts)
        put(key, json.dumps({name: fact for name, fact in text.items() if fact is not None}))(file)
    return change


def larger(key, size):
    """A change of the configuration: layers that would take all memory."""
    def change(file):
        config = json.loads(file["config"].asstr()[()])
        layers = [{**layer, key: size} if key in layer else layer for layer in config["layers"]]
        said("config", layers=layers)(file)
    return change


DAMAGE = {
    "version x": attribute("x"), "version [1, 2]": attribute([1, 2]), "version 1.9": attribute(1.9),
    "version NaN": attribute(np.nan), "version None": lambda file: file.attrs.__delitem__("format_version"),
    "epoch None": said(epoch=None), "epoch x": said(epoch="x"), "epoch 1.5": said(epoch=1.5),
    "epoch -1": said(epoch=-1), "epoch true": said(epoch=True), "epoch 7": said(epoch=7),
    "seed None": said(seed=None), "seed x": said(seed="x"),
    "history None": said(history=None), "history x": said(history="x"), "history [1]": said(history=[1]),
    "steps None": said(optimizer_steps=None), "steps -1": said(optimizer_steps=-1),
    "steps x": said(optimizer_steps="x"), "optimizer epoch": said(optimizer_epoch=[]),
    "optimizer None": said(optimizer=None), "optimizer x": said(optimizer="x"),
    "optimizer Foo": said(optimizer={"optimizer": "Foo"}), "optimizer {}": said(optimizer={}),
    "training []": put("training", "[]"), "training {]": put("training", "{]"),
    "training deep": put("training", "[" * 100_000), "training 1": put("training", 1),
    "training bytes": put("training", b"\xff\xfe"),
    "complex": put("params/dense0/bias", np.zeros(5, complex)),
    "1e300": put("params/dense0/bias", np.full(5, 1e300)),
    "NaN": put("params/dense0/bias", np.full(5, np.nan)),
    "integers": put("params/dense0/bias", np.zeros(5, int)),
    "texts": put("params/dense0/bias", [b"a"] * 5),
    "a group": lambda file: (file.__delitem__("params/dense0/bias"), file.create_group("params/dense0/bias")),
    "scalar": put("params/dense0/bias", 0.0), "shape": put("params/dense0/bias", np.zeros((5, 1))),
    "missing": put("params/dense0/bias", None),
    "tau": put("params/alif0/tau_mem", np.full(5, -3.0)), "tau 0": put("params/alif0/tau_mem", np.zeros(5)),
    "fixed tau": put("fixed/alif0/tau_adp", np.full(5, -1.0)),
    "variance": put("fixed/norm0/running_var", np.full(5, -1.0)),
    "moment shape": put("optimizer/mean/dense0.bias", np.zeros(4)),
    "moment NaN": put("optimizer/square/dense0.bias", np.full(5, np.inf)),
    "moment missing": put("optimizer/mean/dense0.bias", None),
    "moments missing": put("optimizer/mean", None), "optimizer missing": put("optimizer", None),
    "best shape": put("best/dense0.bias", np.zeros(4)), "best complex": put("best/dense0.bias", [1j] * 5),
    "best missing": put("best/dense0.bias", None), "best tau": put("best/alif0.tau_mem", np.full(5, -1.0)),
    "best more": lambda file: file.create_dataset("best/other", data=1.0),
    "config []": put("config", "[]"), "config {}": put("config", "{}"), "config missing": put("config", None),
    "layer Foo": said("config", layers=[{"layer": "Foo"}]), "layers 3": said("config", layers=3),
    "size": larger("n_out", 10**12), "neurons": larger("n", 10**12), "pixels": larger("n", [10**6] * 3),
    "dt -1": said("config", dt=-1), "dtype x": said("config", dtype="x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_no_checkpoint_holds(damage, path, untried):
    with h5py.File(path, "r+") as file:
        DAMAGE[damage](file)
        del file.attrs["sealed"]
    net, optimizer = network(), ns.optim.Adam(0.01)
    before = {key: a.tobytes() for key, a in net.arrays().items()}
    with pytest.raises(CheckpointError, match="c.h5"):
        load_training(path)
    with pytest.raises(ValueError, match="c.h5"):
        trained(path, net=net, optimizer=optimizer, resume=True)
    assert {key: a.tobytes() for key, a in net.arrays().items()} == before
    assert optimizer.steps == 0 and not any(optimizer.state.values())


def test_files_without_moments_before_the_first_step(tmp_path):
    """As older versions wrote them."""
    net = network()
    ns.save(net, tmp_path / "c.h5", optimizer=ns.optim.Adam(0.01))
    assert load_training(tmp_path / "c.h5").optimizer.steps == 0
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        del file.attrs["sealed"], file["optimizer"]
        file.create_group("optimizer")
    assert load_training(tmp_path / "c.h5").optimizer.steps == 0
    with pytest.raises(ValueError, match="was not written by fit"):
        trained(tmp_path / "c.h5", resume=True)


# ---- other files


def test_nothing_outside_the_file_is_read(path, tmp_path, untried):
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(5, dtype="f4").tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(5, dtype="f4")
    good = path.read_bytes()
    layout = h5py.VirtualLayout((5,), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (5,))
    key = "params/dense0/bias"

    def stored_elsewhere(file):
        file.create_dataset(key, (5,), "f4", external=[(str(secret), 0, 20)])

    def link(file):
        file[key] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")

    def virtual(file):
        file.create_virtual_dataset(key, layout)
    for way in (stored_elsewhere, link, virtual):
        path.write_bytes(good)
        with h5py.File(path, "r+") as file:
            del file[key], file.attrs["sealed"]
            way(file)
        with pytest.raises(CheckpointError, match="another file"):
            ns.load(path)
        with pytest.raises(FormatError, match="another file"), hdf5.opened(path) as file:
            hdf5.dataset(path, file, key)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", "/dev/null"):
        with pytest.raises(CheckpointError, match="no checkpoint"):
            ns.load(path)


# ---- what cannot be saved


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    path = tmp_path / "c.h5"
    ns.save(network(), path)
    good = path.read_bytes()
    net = network()
    net.layers["dense0"].params["bias"][1] = np.nan
    with pytest.raises(ValueError, match="params/dense0/bias holds NaN or infinity"):
        ns.save(net, path)
    net = network()
    net.layers["alif0"].params["tau_mem"][:] = -1
    with pytest.raises(ValueError, match="alif0 is not saved: tau_mem is a time constant"):
        ns.save(net, path)
    optimizer = ns.optim.Adam(0.01)
    optimizer.state["mean"]["other.weight"] = np.zeros(3)
    with pytest.raises(ValueError, match="has trained another network, with other.weight"):
        ns.save(network(), path, optimizer=optimizer)
    with pytest.raises(TypeError, match="cannot be saved: only numbers, texts, lists and dicts"):
        ns.save(network(), path, optimizer=ns.optim.Adam(0.01), facts={"x": object()})
    assert path.read_bytes() == good


def test_numbers_of_numpy_are_saved(tmp_path):
    optimizer = ns.optim.Adam(np.float32(0.01), schedule=ns.optim.Step(np.int64(3), np.float32(0.5)),
                              factors={"*.tau_*": np.float32(2)}, clip_norm=np.float64(1))
    net = ns.Network(ns.Dense(np.int64(4), 5), ns.LIF(5, tau_mem=np.float32(3), learn="tau_mem"),
                     ns.Dense(5, 2), ns.LI(2),
                     ns.OverTime("mean"), device="reference", seed=np.int64(1), dt=np.float32(1))
    trained(tmp_path / "c.h5", net=net, optimizer=optimizer, seed=np.int64(1),
            facts={"mine": np.arange(3), "more": np.bool_(True)})
    training = load_training(tmp_path / "c.h5")
    assert training.facts["mine"] == [0, 1, 2] and training.facts["more"] is True
    assert training.optimizer.lr == np.float32(0.01)


def test_a_full_disk(path, good):
    for n in (0, 999, 20_000, len(good) - 30):
        with full_after(n), pytest.raises(OSError, match="cannot be written, and is as it was before"):
            ns.save(network(), path, optimizer=ns.optim.Adam(0.01), facts={"long": "x" * 30_000})
        assert path.read_bytes() == good and os.listdir(path.parent) == ["c.h5"]


TWO = """
import sys
from test_checkpoint import *
for i in range(15):
    ns.save(network(seed=i), sys.argv[1])
"""


def test_two_processes_with_one_path(tmp_path):
    path = tmp_path / "c.h5"
    both = [subprocess.Popen(command(TWO, path), env=environment_of(__file__)) for _ in range(2)]
    while any(process.poll() is None for process in both):
        if path.exists():
            ns.load(path)                                   # always a whole one
    assert [process.returncode for process in both] == [0, 0]
    assert ns.load(path).seed == 14 and os.listdir(tmp_path) == ["c.h5"]

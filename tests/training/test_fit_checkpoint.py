"""What `fit` says of its checkpoint before the first epoch, not after it."""

import os

import numpy as np
import pytest
from disks import full_after

import numsnn as ns
from numsnn.files.checkpoint import describe

h5py = pytest.importorskip("h5py")
STEPS, SAMPLES = 6, 8


def network():
    return ns.Network(ns.Dense(3, 2), ns.LI(2), ns.OverTime("mean"), device="reference")


def fit(net=None, optimizer=None, **more):
    """(history, numbers of the epochs that were seen)."""
    rng = np.random.default_rng(0)
    data = ns.datasets.Dataset(rng.random((STEPS, SAMPLES, 3)).astype("f4"), rng.integers(0, 2, SAMPLES))
    seen = []
    how = {"loss": ns.loss.CrossEntropy(), "epochs": 2, "batch_size": 4, "progress": False, **more}
    history = ns.fit(net or network(), data, optimizer=optimizer or ns.optim.Adam(0.01),
                     callbacks=(lambda e: seen.append(e.epoch),), **how)
    return history, seen


def refused(kind, message, **more):
    net = network()
    before = {key: a.tobytes() for key, a in net.arrays().items()}
    with pytest.raises(kind, match=message):
        fit(net, **more)
    assert {key: a.tobytes() for key, a in net.arrays().items()} == before


def test_where_no_checkpoint_can_be_written(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(FileNotFoundError, "there is no folder .*; make it first", checkpoint=tmp_path / "no" / "c.h5")
    for path in (tmp_path, tmp_path / "pipe"):
        refused(ValueError, "which no file can replace", checkpoint=path)
    refused(TypeError, "cannot be saved: only numbers", checkpoint=tmp_path / "c.h5", facts={"x": object()})
    refused(ValueError, "give its path as checkpoint=", resume=True)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_disk_that_is_full_after_the_first_epoch(tmp_path):
    path = tmp_path / "c.h5"
    fit(checkpoint=path, epochs=1)
    good = path.read_bytes()
    with full_after(3000), pytest.raises(OSError, match="cannot be written, and is as it was before"):
        fit(checkpoint=path, resume=True)
    assert path.read_bytes() == good and os.listdir(tmp_path) == ["c.h5"]
    assert fit(checkpoint=path, resume=True)[1] == [1]


def test_what_is_there_already(tmp_path):
    path = tmp_path / "c.h5"
    with pytest.warns(UserWarning, match="there is no checkpoint .* to resume; the training starts anew"):
        fit(checkpoint=path, resume=True)
    with pytest.warns(UserWarning, match="holds a training of 2 epochs, which this training overwrites"):
        fit(checkpoint=path, epochs=1)
    assert describe(path)["training"]["epoch"] == 0
    ns.save(network(), path)
    with pytest.warns(UserWarning, match="holds a network, which this training overwrites"):
        fit(checkpoint=path, epochs=1)
    for content in (b"my thesis", path.read_bytes()[:3000], b""):
        path.write_bytes(content)
        refused(ValueError, "is not overwritten, because it is no checkpoint that can be read",
                checkpoint=path)
        assert path.read_bytes() == content


def test_resumed_with_another_optimiser(tmp_path):
    path = tmp_path / "c.h5"
    fit(checkpoint=path, epochs=1)
    for other in (ns.optim.SGD(0.1, momentum=0.9), ns.optim.AdamW(0.1)):
        refused(ValueError, f"was trained with Adam, this run has {type(other).__name__}; resume with",
                checkpoint=path, resume=True, optimizer=other)
        assert other.steps == 0
    assert fit(checkpoint=path, resume=True)[1] == [1]


def test_an_optimiser_of_ones_own_is_resumed(tmp_path):
    class Mine(ns.optim.Adam):
        """Adam by another name."""

    class Waves(ns.optim.Schedule):
        """1 and 1/2 in turns."""

        def __call__(self, epoch):
            return 1 - epoch % 2 / 2

    def mine():
        return Mine(0.01, schedule=Waves())

    straight, resumed = network(), network()
    fit(straight, mine(), epochs=4)
    fit(network(), mine(), epochs=2, checkpoint=tmp_path / "c.h5")
    assert fit(resumed, mine(), epochs=4, checkpoint=tmp_path / "c.h5", resume=True)[1] == [2, 3]
    assert all(a.tobytes() == straight.params[key].tobytes() for key, a in resumed.params.items())

"""Folders and files of the field's data sets, built here: cameras, SHD layout; the real Braille letters."""

import numpy as np
import pytest
from event_files import AEDAT3, aedat2_bytes, aedat3_packet, shd_file

from numsnn import formats
from numsnn.datasets import cameras, shd
from numsnn.datasets.braille import braille
from numsnn.datasets.recordings import Bins
from numsnn.formats import FormatError
from numsnn.signals.events import Events

h5py = pytest.importorskip("h5py")


def test_dvs128_gesture_is_cut_by_its_labels(tmp_path):
    events = [(t, t % 128, (t // 7) % 128, t % 2) for t in range(0, 10_000, 50)]
    (tmp_path / "user01_led.aedat").write_bytes(AEDAT3 + aedat3_packet(events))
    labels = tmp_path / "user01_led_labels.csv"
    labels.write_text("class,startTime_usec,endTime_usec\n1,1000,3000\n11,3000,9950\n")
    (tmp_path / "trials_to_train.txt").write_text("user01_led.aedat\n")
    listing = cameras.dvs128_gesture(tmp_path)
    assert [(item.label, item.group) for item in listing.items] == [(0, "user01"), (10, "user01")]
    first, second = (item.read() for item in listing.items)
    want = [e for e in events if 1000 <= e[0] < 3000]
    assert first.t.tolist() == [t - 1000 for t, *_ in want]
    assert first.x.tolist() == [x for _, x, _, _ in want]
    assert second.n_events == 139
    labels.write_text("class,startTime_usec,endTime_usec\n12,1000,3000\n")
    message = "line 2: class 12 from 1000 to 3000: expected a class from 1 to 11"
    with pytest.raises(FormatError, match=message):
        cameras.dvs128_gesture(tmp_path)
    labels.write_text("what,ever\n12,1000\n")
    with pytest.raises(FormatError, match="expected a table with the columns class"):
        cameras.dvs128_gesture(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"trials_to_test\.txt"):
        cameras.dvs128_gesture(tmp_path, "test")


def test_cifar10_dvs_and_mnist_dvs(tmp_path):
    for name in ("cifar/airplane", "cifar/truck", "mnist/0/scale04", "mnist/7/scale04", "mnist/7/scale16"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for i in range(10):
            content = aedat2_bytes([(i, 5, 9, 1), (i + 1, 6, 10, 0)])
            (folder / f"r_{i}.aedat").write_bytes(content)
    train, test = (cameras.cifar10_dvs(tmp_path / "cifar", part) for part in ("train", "test"))
    assert [item.label for item in test.items] == [0, 9]
    assert len(train.items) == 18
    assert test.items[0].name.endswith("r_9.aedat")
    events = test.items[0].read()
    assert (events.x[0], events.y[0], events.p[0]) == (127 - 9, 127 - 5, 0)
    digits = cameras.mnist_dvs(tmp_path / "mnist", "all", scale=4)
    assert sorted({item.label for item in digits.items}) == [0, 7]
    assert len(digits.items) == 20
    names = {item.name for item in cameras.mnist_dvs(tmp_path / "mnist", scale=4).items}
    test_names = {item.name for item in cameras.mnist_dvs(tmp_path / "mnist", "test", scale=4).items}
    assert not names & test_names
    with pytest.raises(FileNotFoundError, match="holds no recordings of CIFAR10-DVS, train"):
        cameras.cifar10_dvs(tmp_path / "mnist")


def test_nmnist_folders(tmp_path):
    for part, digit, i in (("Train", 3, 10), ("Train", 3, 2), ("Test", 0, 1)):
        (tmp_path / part / str(digit)).mkdir(parents=True, exist_ok=True)
        formats.write(tmp_path / part / str(digit) / f"{i:05d}.bin", Events(
            [100 * i, 150_000], x=[1, 2], y=[3, 4], p=[0, 1], shape=(2, 34, 34)))
    train = cameras.nmnist(tmp_path)
    assert [(item.label, item.read().t[0]) for item in train.items] == [(3, 200), (3, 1000)]
    assert cameras.nmnist(tmp_path, first_saccade=True).items[0].read().n_events == 1
    with pytest.raises(ValueError, match="part must be one of 'train', 'test'; got 'valid'"):
        cameras.nmnist(tmp_path, "valid")


def test_shd_layout(tmp_path):
    times, units = [[0.001, 0.5, 1.25], [], [0.25]], [[699, 0, 3], [], [7]]
    shd_file(tmp_path / "shd_train.h5", times, units, [0, 1, 1])
    listing = shd.shd(tmp_path)
    assert listing.classes == ("zero", "one")
    assert [item.group for item in listing.items] == ["4", "5", "4"]
    events = listing.items[0].read()
    assert events.tick == 1
    assert events.unit.tolist() == units[0]
    assert np.array_equal(events.t, np.array(times[0], np.float16))
    data = listing.dataset(Bins(dt=0.1), prepare=lambda e: e.pool(5))
    batch = next(data.batches(3))
    assert batch.x.shape == (13, 3, 140) and batch.lengths.tolist() == [13, 1, 3]
    assert np.argwhere(batch.x.dense()).tolist() == [[0, 0, 139], [2, 2, 1], [5, 0, 0], [12, 0, 0]]
    shd_file(tmp_path / "shd_test.h5", times, units, [0, 1, 1])
    with h5py.File(tmp_path / "shd_test.h5", "r+") as file:
        del file["extra/keys"]
        file.create_dataset("extra/keys", data=["null", "eins"], dtype=h5py.string_dtype())
    assert shd.shd(tmp_path, "test").classes == ("null", "eins")
    rest, held = data.hold_out("5")
    assert len(rest) == 2 and len(held) == 1
    with pytest.raises(FileNotFoundError, match=r"no file .*ssc_test\.h5"):
        shd.ssc(tmp_path, "test")


@pytest.mark.parametrize("times, units, words", [
    ([[0.2, 0.1]], [[1, 2]], "recording 0: time runs backwards"),
    ([[0.2, np.inf]], [[1, 2]], "recording 0: time that is not finite: 1 of 2"),
    ([[0.1, 0.2]], [[1, 700]], "recording 0: unit outside the channels: 700"),
    ([[0.1, 0.2]], [[1]], "recording 0: expected as many times as units"),
])
def test_bad_shd_events(tmp_path, times, units, words):
    shd_file(tmp_path / "a.h5", times, units, [0], speakers=[1])
    with pytest.raises(FormatError, match=words):
        shd.layout(tmp_path / "a.h5").items[0].read()
    if "as many" not in words:
        problems = formats.Problems(tmp_path / "a.h5", strict=False)
        events = shd.layout(tmp_path / "a.h5", problems=problems).items[0].read()
        assert sum(problems.counts.values()) == 1 and (np.diff(events.t) >= 0).all()


def test_files_that_are_not_in_shd_layout(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = [0]
    with pytest.raises(FormatError, match="no data set spikes/times"):
        shd.layout(tmp_path / "a.h5")
    shd_file(tmp_path / "b.h5", [[0.1]], [[1]], [7], speakers=[1])
    with pytest.raises(FormatError, match="labels from 7 to 7, but 2 names"):
        shd.layout(tmp_path / "b.h5")
    (tmp_path / "c.h5").write_bytes((tmp_path / "b.h5").read_bytes()[:900])
    with pytest.raises(FormatError, match="cannot be read as HDF5"):
        shd.layout(tmp_path / "c.h5")


def test_braille_letters(data_folder):
    data = braille(data_folder / "braille7" / "braille7.h5")
    assert data.x.shape == (256, 1018, 12)
    assert np.bincount(data.y).tolist() == [142, 152, 144, 150, 140, 147, 143]
    assert data.classes == ("Space", "A", "E", "I", "O", "U", "Y")


def test_the_largest_label_of_a_byte(tmp_path):
    shd_file(tmp_path / "a.h5", [[0.1]], [[1]], [0], speakers=[1])
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["labels"], file["extra/keys"]
        file["labels"] = np.array([255], np.uint8)
    listing = shd.layout(tmp_path / "a.h5")
    assert listing.items[0].label == 255 and len(listing.classes) == 256

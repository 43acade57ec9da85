"""Data sets of recordings: listings of the field's folders, SHD layout, lazy reading, prefetch, conversion to HDF5 and its interruption."""

import multiprocessing
import os
import signal
import struct
import time

import numpy as np
import pytest
from event_files import AEDAT3, aedat2_bytes, aedat3_packet, shd_file

import numsnn as ns
from numsnn import formats
from numsnn.datasets import Dataset, cameras, converted, saved, shd
from numsnn.datasets.braille import braille
from numsnn.datasets.dataset import Sequences
from numsnn.datasets.listing import Item, Listing
from numsnn.datasets.recordings import Bins
from numsnn.devices import threads
from numsnn.formats import FormatError
from numsnn.signals.events import Events

h5py = pytest.importorskip("h5py")


def recording(i, n=200):
    rng = np.random.default_rng(i)
    return Events(np.sort(rng.integers(0, 40_000, n + i)), x=rng.integers(0, 6, n + i), y=rng.integers(0, 5, n + i),
                  p=rng.integers(0, 2, n + i), shape=(2, 5, 6))


def some(n=23):
    return Listing("some", "made up", (2, 5, 6), 1e-6, ("a", "b"),
                   [Item(f"r{i}", i % 2, f"g{i % 3}", lambda i=i: recording(i)) for i in range(n)])


# ---- lazy sets


def test_lazy_batches_are_the_recordings():
    data = some().dataset(Bins(dt=1e-3))
    assert data.lazy and len(data) == 23 and data.units == 60
    for batch in data.batches(5):
        for column, i in enumerate(batch.samples):
            want = recording(i).bin(1e-3)
            assert batch.lengths[column] == want.shape[0]
            assert np.array_equal(batch.x.dense()[:want.shape[0], column], want.dense()[:, 0])
            assert not batch.x.dense()[want.shape[0]:, column].any()
        assert batch.x.shape[0] == batch.lengths.max()


@pytest.mark.parametrize("memory", [False, True])
def test_order_repeats_whatever_reads_ahead(memory):
    """Same generator, same batches: with any prefetch, twice, and with augmentation."""
    data = some().dataset(Bins(n=8, counts=True), augment=lambda e, rng: e.dropped(0.3, rng), memory=memory)

    def seen(epoch, prefetch):
        return [(batch.samples.tolist(), batch.x.dense().tobytes(), batch.y.tolist())
                for batch in data.batches(4, np.random.default_rng([7, epoch]), prefetch=prefetch)]
    first = seen(0, 0)
    assert first == seen(0, 2) == seen(0, 5) and first != seen(1, 0)
    assert sorted(i for b in first for i in b[0]) == list(range(23))
    plain = [batch.x.n_spikes for batch in data.batches(23)]
    assert sum(len(b[1]) for b in first) and plain[0] > 0


def test_an_error_of_the_reading_thread_arrives():
    def broken():
        raise FormatError("file.bin", "broken")
    listing = some(6)
    listing.items[4] = listing.items[4]._replace(read=broken)
    with pytest.raises(FormatError, match=r"file\.bin: broken"):
        list(listing.dataset(Bins(dt=1e-3)).batches(2))


def test_the_reading_thread_ends_when_nobody_listens():
    made = []
    ahead = threads.ahead((made.append(i) or i for i in range(1000)), 2)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    ahead.close()
    time.sleep(0.05)
    assert len(made) < 10


def test_slices_splits_and_groups():
    data = some().dataset(Bins(dt=1e-3))
    assert data[3:7].y.tolist() == data.y[3:7].tolist() and len(data[4]) == 1
    rest, held = data.hold_out("g1")
    assert set(held.groups) == {"g1"} and set(rest.groups) == {"g0", "g2"} and len(rest) + len(held) == 23
    assert data.shuffled(1).y.tolist() == data.shuffled(1).y.tolist()
    a, b = data.split(0.25, seed=3)
    assert len(b) == 6 and a.lazy
    with pytest.raises(ValueError, match="holding out g7 leaves a part empty"):
        data.hold_out("g7")
    with pytest.raises(ValueError, match="lengths of their own"):
        Dataset(data._x.sequences, data.y, lengths=np.ones(23))
    with pytest.raises(TypeError, match="must say how"):
        Sequences().fetch(np.arange(2))


def test_prepare_changes_the_features():
    data = some().dataset(Bins(n=4), prepare=lambda e: e.downscale(2).polarity("merge"))
    assert data.units == 9 and next(data.batches(3)).x.shape == (4, 3, 9)


def test_lazy_sets_train_as_sets_in_memory():
    """The same bits: from files piece by piece, or with everything in one Spikes."""
    lazy = some().dataset(Bins(dt=2e-3, steps=20))
    eager = Dataset(lazy.x, lazy.y, classes=lazy.classes, name="some")
    results = []
    for data in (lazy, eager):
        net = ns.Network(ns.Dense(60, 9), ns.LIF(9, recurrent=True), ns.Dense(9, 2), ns.LI(2), ns.OverTime("mean"), seed=1, device="reference")
        history = ns.fit(net, data, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-2), epochs=2, batch_size=5, progress=False)
        results.append((history["loss"], {k: v.tobytes() for k, v in net.params.items()}, str(ns.evaluate(net, data))))
    # dropped augmentation seeds are drawn from the same generator only by lazy sets, after the order: the order is the same
    assert results[0] == results[1]


# ---- saved sets


def dense_set():
    rng = np.random.default_rng(0)
    return Dataset(rng.normal(size=(7, 11, 3)).astype(np.float32), rng.integers(0, 2, (7, 11)), mask=rng.random((7, 11)) < 0.7,
                   labelled=rng.random((7, 11)) < 0.5, groups=np.array(list("abcabcabcab")), classes=("x", "y"), name="dense")


@pytest.mark.parametrize("make", [
    dense_set, lambda: some().dataset(Bins(dt=1e-3, counts=True)), lambda: some().dataset(Bins(n=9)),
    lambda: ns.datasets.synthetic.ecg(20, 60, seed=1), lambda: Dataset(dense_set().x, dense_set().y[0], lengths=np.arange(11) % 7 + 1)],
    ids=["values", "counts", "fixed", "ecg", "lengths"])
def test_saved_sets_are_the_same(make, tmp_path):
    data = make()
    data.save(tmp_path / "d.h5")
    for back in (saved.load(tmp_path / "d.h5"), saved.load(tmp_path / "d.h5", memory=True)):
        assert (len(back), back.units, back.classes, back.name, back.source) == (len(data), data.units, data.classes, data.name, data.source)
        for key in ("y", "mask", "labelled", "groups"):
            assert np.array_equal(getattr(data, key), getattr(back, key)), key
        for one, other in zip(data.batches(4, np.random.default_rng(2), 0), back.batches(4, np.random.default_rng(2)), strict=True):
            assert np.array_equal(one.samples, other.samples) and np.array_equal(one.y, other.y)
            x, z = (b.x.dense() if isinstance(b.x, ns.Spikes) else b.x for b in (one, other))
            if one.lengths is not None:             # padding is zeros in a saved set
                x = np.where((np.arange(len(x))[:, None] < one.lengths)[:, :, None], x, 0)
                lengths = np.full(len(one.y), len(z)) if other.lengths is None else other.lengths
                assert np.array_equal(one.lengths, lengths)
            assert np.array_equal(x, z)


def test_saved_sets_train_to_the_same_bits(tmp_path):
    """The ECG network from memory, and from the file with a thread that reads ahead."""
    data = ns.datasets.synthetic.ecg(24, 50, seed=3)
    data.save(tmp_path / "d.h5")
    results = []
    for d in (data, saved.load(tmp_path / "d.h5")):
        net = ns.Network(ns.Dense(4, 9), ns.ALIF(9, recurrent=True), ns.Dense(9, 6), ns.ALIF(6, output="v"), seed=1, device="reference")
        history = ns.fit(net, d, d, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-2), epochs=2, batch_size=8, progress=False)
        results.append((history["loss"], {k: v.tobytes() for k, v in net.params.items()}, str(ns.evaluate(net, d))))
    assert results[0] == results[1]


def test_damaged_saved_sets(tmp_path):
    path = tmp_path / "d.h5"
    some().dataset(Bins(dt=1e-3)).save(path)
    for change, words in (("y", "do not fit together"), ("row_offsets", "do not fit together"), ("index", "no data set index")):
        some().dataset(Bins(dt=1e-3)).save(path)
        with h5py.File(path, "r+") as file:
            content = file[change][()]
            del file[change]
            if change != "index":
                file[change] = content[1:]
        with pytest.raises(FormatError, match=words):
            saved.load(path)
    with h5py.File(path, "w") as file:
        file["y"] = [1]
    with pytest.raises(FormatError, match="not a data set that this version saved"):
        saved.load(path)


# ---- folders of the field, built here


def test_dvs128_gesture_is_cut_by_its_labels(tmp_path):
    events = [(t, t % 128, (t // 7) % 128, t % 2) for t in range(0, 10_000, 50)]
    (tmp_path / "user01_led.aedat").write_bytes(AEDAT3 + aedat3_packet(events))
    (tmp_path / "user01_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n1,1000,3000\n11,3000,9950\n")
    (tmp_path / "trials_to_train.txt").write_text("user01_led.aedat\n")
    listing = cameras.dvs128_gesture(tmp_path)
    assert [(item.label, item.group) for item in listing.items] == [(0, "user01"), (10, "user01")]
    first, second = (item.read() for item in listing.items)
    want = [e for e in events if 1000 <= e[0] < 3000]
    assert first.t.tolist() == [t - 1000 for t, *_ in want] and first.x.tolist() == [x for _, x, _, _ in want]
    assert second.n_events == 139
    (tmp_path / "user01_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n12,1000,3000\n")
    with pytest.raises(FormatError, match="line 2: class 12 from 1000 to 3000: expected a class from 1 to 11"):
        cameras.dvs128_gesture(tmp_path)
    (tmp_path / "user01_led_labels.csv").write_text("what,ever\n12,1000\n")
    with pytest.raises(FormatError, match="expected a table with the columns class"):
        cameras.dvs128_gesture(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"trials_to_test\.txt"):
        cameras.dvs128_gesture(tmp_path, "test")


def test_cifar10_dvs_and_mnist_dvs(tmp_path):
    for name, folders in (("cifar", ("airplane", "truck")), ("mnist", ("0/scale04", "7/scale04", "7/scale16"))):
        for folder in folders:
            (tmp_path / name / folder).mkdir(parents=True)
            for i in range(10):
                (tmp_path / name / folder / f"r_{i}.aedat").write_bytes(aedat2_bytes([(i, 5, 9, 1), (i + 1, 6, 10, 0)]))
    train, test = (cameras.cifar10_dvs(tmp_path / "cifar", part) for part in ("train", "test"))
    assert [item.label for item in test.items] == [0, 9] and len(train.items) == 18
    assert test.items[0].name.endswith("r_9.aedat")
    events = test.items[0].read()
    assert (events.x[0], events.y[0], events.p[0]) == (127 - 9, 127 - 5, 0)
    digits = cameras.mnist_dvs(tmp_path / "mnist", "all", scale=4)
    assert sorted({item.label for item in digits.items}) == [0, 7] and len(digits.items) == 20
    assert not {item.name for item in cameras.mnist_dvs(tmp_path / "mnist", scale=4).items} & {
        item.name for item in cameras.mnist_dvs(tmp_path / "mnist", "test", scale=4).items}
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
    assert listing.classes == ("zero", "one") and [item.group for item in listing.items] == ["4", "5", "4"]
    events = listing.items[0].read()
    assert events.tick == 1 and events.unit.tolist() == units[0] and np.array_equal(events.t, np.array(times[0], np.float16))
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
    assert data.x.shape == (256, 1018, 12) and np.bincount(data.y).tolist() == [142, 152, 144, 150, 140, 147, 143]
    assert data.classes == ("Space", "A", "E", "I", "O", "U", "Y")


# ---- conversion


def test_converted_recordings_are_the_same(tmp_path):
    listing = some()
    assert converted.write(tmp_path / "a.h5", listing, {"seed": 1}) == 0
    back = converted.listing(tmp_path / "a.h5")
    assert (back.name, back.shape, back.tick, back.classes) == (listing.name, listing.shape, listing.tick, listing.classes)
    for one, other in zip(listing.items, back.items, strict=True):
        assert (one.name, one.label, one.group) == (other.name, other.label, other.group) and one.read() == other.read()
    with h5py.File(tmp_path / "a.h5") as file:
        assert {key: file.attrs[key].decode() for key in ("options", "numsnn_version", "source")} == {
            "options": '{"seed": 1}', "numsnn_version": ns.__version__, "source": "made up"}
    x, y = (thing.dataset(Bins(dt=1e-3)).x for thing in (listing, back))
    assert np.array_equal(x.dense(), y.dense())
    sounds = Listing("s", "", (700,), 1.0, ("a",), [Item("0", 0, "", lambda: Events([0.1, 0.25], [3, 699], shape=700, tick=1.0))])
    converted.write(tmp_path / "b.h5", sounds)
    assert converted.listing(tmp_path / "b.h5").items[0].read() == sounds.items[0].read()


def _convert_slowly(path, after):
    listing = some()
    converted.SECONDS = 0.0

    def slow(done, n, name):
        if done >= after:
            path.with_name("reached").touch()
            time.sleep(60)
    converted.write(path, listing, None, slow)


def test_an_interrupted_conversion_goes_on(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_convert_slowly, args=(tmp_path / "a.h5", 9))
    process.start()
    part = tmp_path / "a.h5.part"
    for _ in range(1200):
        time.sleep(0.05)
        if (tmp_path / "reached").exists():
            break
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (tmp_path / "a.h5").exists()
    with h5py.File(part, "r+") as file:                # a recording that was being written
        file["events/t"].resize(len(file["events/t"]) + 7, 0)
    read = []
    assert converted.write(tmp_path / "a.h5", some(), None, lambda done, n, name: read.append(done)) == 9
    assert read[0] == 9 and not part.exists()
    for one, other in zip(some().items, converted.listing(tmp_path / "a.h5").items, strict=True):
        assert one.read() == other.read()
    # another conversion's rest, and one that cannot be read, are not continued
    for content in (None, b"\x89HDF\r\n\x1a\n damaged"):
        if content:
            part.write_bytes(content)
        else:
            converted._create(part, some(), converted._about(some(), {"other": 1}))
        assert converted.write(tmp_path / "a.h5", some()) == 0


def test_damaged_converted_files(tmp_path):
    path = tmp_path / "a.h5"
    converted.write(path, some())
    good = path.read_bytes()
    path.write_bytes(good[:len(good) // 2])
    with pytest.raises(FormatError, match="cannot be read"):
        converted.listing(path)
    path.write_bytes(good)
    with h5py.File(path, "r+") as file:
        file["offsets"][3] = 10**9
    with pytest.raises(FormatError, match="do not fit together"):
        converted.listing(path)


def test_one_file_is_converted_in_constant_memory(tmp_path):
    import tracemalloc
    n = 1_500_000
    rng = np.random.default_rng(0)
    data = np.stack((rng.integers(0, 128, n) << 1 | rng.integers(0, 128, n) << 8, np.arange(n)), 1).astype(">u4").tobytes()
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT2.0\r\n" + data)
    converted.write_stream(tmp_path / "warm.h5", formats.stream(tmp_path / "a.aedat"))
    tracemalloc.start()
    assert converted.write_stream(tmp_path / "a.h5", formats.stream(tmp_path / "a.aedat")) == n
    assert tracemalloc.get_traced_memory()[1] < 60e6            # all events would be 20 MB in the file, 31 MB as columns, twice that to join
    tracemalloc.stop()
    events = converted.listing(tmp_path / "a.h5").items[0].read()
    assert events.n_events == n and struct.unpack(">II", data[:8])[1] == events.t[0]

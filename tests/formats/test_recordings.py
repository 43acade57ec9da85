"""Data sets of recordings: lazy reading, prefetch, augmentation, splits, and sets that are saved to HDF5."""

import gc
import time
import weakref

import numpy as np
import pytest
from made_up_recordings import recording, some

import numsnn as ns
from numsnn.datasets import Dataset, saved
from numsnn.datasets.dataset import Sequences
from numsnn.datasets.recordings import Bins
from numsnn.devices import threads
from numsnn.formats import FormatError

h5py = pytest.importorskip("h5py")


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


class Held:
    """Stands for an open file."""


def failing(kept):
    held = Held()
    kept.append(weakref.ref(held))
    yield 1
    raise ValueError("damaged")


def test_an_error_read_ahead_lets_its_files_go_at_once():
    kept = []
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ValueError, match="damaged"):
            list(threads.ahead(failing(kept), 2))
        assert kept[0]() is None
    finally:
        gc.enable()



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


def trained(net, data, batch_size):
    """Everything that a training gives, to be compared bit for bit."""
    history = ns.fit(net, data, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-2), epochs=2,
                     batch_size=batch_size, progress=False)
    weights = {name: array.tobytes() for name, array in net.params.items()}
    return history["loss"], weights, str(ns.evaluate(net, data))


def test_lazy_sets_train_as_sets_in_memory():
    """The same bits: from files piece by piece, or with everything in one Spikes."""
    lazy = some().dataset(Bins(dt=2e-3, steps=20))
    eager = Dataset(lazy.x, lazy.y, classes=lazy.classes, name="some")
    results = []
    for data in (lazy, eager):
        net = ns.Network(ns.Dense(60, 9), ns.LIF(9, recurrent=True), ns.Dense(9, 2), ns.LI(2),
                         ns.OverTime("mean"), seed=1, device="reference")
        results.append(trained(net, data, 5))
    # only lazy sets draw seeds of augmentation from the same generator, and after the order: it is the same
    assert results[0] == results[1]


# ---- saved sets


def dense_set():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 11, 3)).astype(np.float32)
    y = rng.integers(0, 2, (7, 11))
    mask = rng.random((7, 11)) < 0.7
    labelled = rng.random((7, 11)) < 0.5
    groups = np.array(list("abcabcabcab"))
    return Dataset(x, y, mask=mask, labelled=labelled, groups=groups, classes=("x", "y"), name="dense")


def counts_set():
    return some().dataset(Bins(dt=1e-3, counts=True))


def fixed_set():
    return some().dataset(Bins(n=9))


def ecg_set():
    return ns.datasets.synthetic.ecg(20, 60, seed=1)


def set_of_lengths():
    return Dataset(dense_set().x, dense_set().y[0], lengths=np.arange(11) % 7 + 1)


@pytest.mark.parametrize("make", [dense_set, counts_set, fixed_set, ecg_set, set_of_lengths],
                         ids=["values", "counts", "fixed", "ecg", "lengths"])
def test_saved_sets_are_the_same(make, tmp_path):
    data = make()
    data.save(tmp_path / "d.h5")
    for back in (saved.load(tmp_path / "d.h5"), saved.load(tmp_path / "d.h5", memory=True)):
        assert len(back) == len(data)
        for key in ("units", "classes", "name", "source"):
            assert getattr(back, key) == getattr(data, key), key
        for key in ("y", "mask", "labelled", "groups"):
            assert np.array_equal(getattr(data, key), getattr(back, key)), key
        batches = data.batches(4, np.random.default_rng(2), 0)
        saved_batches = back.batches(4, np.random.default_rng(2))
        for one, other in zip(batches, saved_batches, strict=True):
            assert np.array_equal(one.samples, other.samples)
            assert np.array_equal(one.y, other.y)
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
        net = ns.Network(ns.Dense(4, 9), ns.ALIF(9, recurrent=True), ns.Dense(9, 6), ns.ALIF(6, output="v"),
                         seed=1, device="reference")
        results.append(trained(net, d, 8))
    assert results[0] == results[1]


def test_damaged_saved_sets(tmp_path):
    path = tmp_path / "d.h5"
    some().dataset(Bins(dt=1e-3)).save(path)
    for change, words in (("y", "do not fit together"),
                          ("row_offsets", "do not fit together"),
                          ("index", "no data set index")):
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

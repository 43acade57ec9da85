"""Data sets: the real coded QT Database, the synthetic one, level crossing, and damaged files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from numsnn.datasets import Dataset, qtdb, synthetic
from numsnn.signals.encode import level_crossing

SAMPLE = Path(__file__).parents[2] / "data" / "ecg_synthetic.h5"


@pytest.fixture(scope="module")
def coded(data_folder):
    folder = data_folder / "qtdb_coded"
    if not folder.is_dir():
        pytest.skip(f"no coded QT Database in {folder}")
    return folder


def test_the_real_coded_qt_database(coded):
    """Counts of papers.md 2d over 1300 steps, unlabelled steps as class 0."""
    train, test = (qtdb.coded(coded, part) for part in ("train", "test"))
    assert train.x.shape == (1300, 618, 4)
    assert test.x.shape == (1300, 141, 4)
    assert np.bincount(test.y.ravel()).tolist() == [43175, 10135, 9835, 9056, 55849, 55250]
    assert np.bincount(train.y.ravel()).tolist() == [166171, 49448, 46481, 35742, 242613, 262945]
    assert np.allclose(test.x.dense().mean((0, 1)), [.0871, .0690, .0814, .0783], atol=5e-5)
    assert abs(1 - train.labelled.mean() - 0.082) < 1e-3
    assert not test.mask[:10].any()
    assert test.mask[10:].all()


def test_the_real_file_damaged(coded, tmp_path):
    with pytest.raises(FileNotFoundError, match="no file .*QTDB_train.mat; --data"):
        qtdb.coded(tmp_path, "train")
    with pytest.raises(ValueError, match="parts 'train', 'test'; got 'valid'"):
        qtdb.coded(coded, "valid")
    content = (coded / "QTDB_test.mat").read_bytes()
    for data in (b"", b"not a mat file at all", content[:200], content[:len(content) // 2]):
        (tmp_path / "QTDB_test.mat").write_bytes(data)
        message = "QTDB_test.mat cannot be read as a MATLAB 5 file.*fetch it again|expected an array"
        with pytest.raises(ValueError, match=message):
            qtdb.coded(tmp_path, "test")
    assert (coded / "QTDB_test.mat").read_bytes() == content


def test_matlab_files_with_wrong_content(tmp_path):
    from scipy.io import savemat
    x = np.zeros((3, 50, 4), np.int16)
    y = np.zeros((3, 50, 6), np.uint8)
    x[:, -1, 0] = -1
    for change, message in (({"x": x[:, :, :3]}, r"expected an array x of shape \(N, T, 4\)"),
                            ({"y": None}, "expected an array y"),
                            ({"y": y[:2]}, "of equal, non-zero N and T"),
                            ({"x": x + 5}, "expected spikes 0 or 1"),
                            ({"x": np.full(x.shape, np.nan)}, "x holds NaN"),
                            ({"x": x[:0], "y": y[:0]}, "expected an array|non-zero N")):
        content = {k: v for k, v in ({"x": x, "y": y} | change).items() if v is not None}
        savemat(tmp_path / "QTDB_train.mat", content)
        with pytest.raises(ValueError, match=message):
            qtdb.coded(tmp_path, "train")
    savemat(tmp_path / "QTDB_train.mat", {"x": x, "y": y})
    assert qtdb.coded(tmp_path, "train").x.shape == (49, 3, 4)


def test_level_crossing_by_hand():
    signal = np.array([0, 0, 0.05, 0.05, 0.02, -0.01, -0.01])[:, None, None]
    up_down = level_crossing(signal, threshold=0.03, window=0)[:, 0]
    assert up_down[:, 0].tolist() == [False, False, True, False, False, False, False]
    assert up_down[:, 1].tolist() == [False, False, False, False, True, True, False]
    ramp = np.linspace(0, 4, 101)[:, None]
    assert level_crossing(ramp, 0.03)[1:, 0].all(), "a filter of order 3 leaves a straight line alone"
    for bad, message in ((np.zeros(5), "expected a signal"), (np.zeros((3, 1)), "at least 5 steps"),
                         (np.full((9, 1), np.nan), "NaN")):
        with pytest.raises(ValueError, match=message):
            level_crossing(bad)
    with pytest.raises(ValueError, match="threshold must be positive"):
        level_crossing(np.zeros((9, 1)), 0)


def test_level_crossing_has_the_rate_of_the_real_coding(coded):
    """The synthetic set resembles the real one: rate of spikes, share of each class."""
    real, ours = qtdb.coded(coded, "test"), synthetic.ecg(141, seed=2)
    assert 0.5 < ours.x.rate / real.x.rate < 2
    share = [np.bincount(y, minlength=6) / y.size for y in (real.y[real.labelled], ours.y.ravel())]
    assert np.abs(share[0] - share[1]).max() < 0.05


def test_small_integers_of_numpy_are_numbers():
    few, same = synthetic.ecg(np.uint8(3), steps=np.uint8(200)), synthetic.ecg(3, steps=200)
    assert (few.x.dense() == same.x.dense()).all() and (few.y == same.y).all()


def test_synthetic_ecg():
    e = synthetic.ecg_signals(70, 600, seed=3)
    assert e.signal.shape == (600, 70, 2)
    assert e.signal.tobytes() == synthetic.ecg_signals(70, 600, seed=3).signal.tobytes()
    assert e.signal.tobytes() != synthetic.ecg_signals(70, 600, seed=4).signal.tobytes()
    assert np.isfinite(e.signal).all()
    # waves follow each other in their order, once a beat
    for b in range(70):
        labels = e.labels[:, b].astype(int)
        changes = labels[1:][np.diff(labels) != 0]
        assert ((changes - labels[:-1][np.diff(labels) != 0]) % 6 <= 2).all()
        beats = np.flatnonzero(np.diff((labels == 3).astype(int)) == 1)
        rate = 60 * 250 / np.diff(beats)
        assert (40 < rate).all()
        assert (rate < 120).all()
    # the R peak stands where QR turns into RS
    for b in range(0, 70, 7):
        turns = np.flatnonzero((e.labels[:-1, b] == 2) & (e.labels[1:, b] == 3))
        for t in turns[(turns > 15) & (turns < 580)]:
            assert abs(int(e.signal[t - 15:t + 15, b, 0].argmax()) - 15) <= 4
    with pytest.raises(ValueError, match="must lie in 1"):
        synthetic.ecg_signals(0)


def test_the_committed_sample_is_made_by_our_generator(tmp_path):
    import h5py
    assert SAMPLE.stat().st_size < 1_000_000
    synthetic.write_sample(tmp_path / "again.h5")
    with h5py.File(SAMPLE) as old, h5py.File(tmp_path / "again.h5") as new:
        assert old.keys() == new.keys()
        assert np.allclose(old["signal"][()], new["signal"][()], atol=1e-4)    # libm differs between machines
        assert (old["labels"][()] == new["labels"][()]).mean() > 0.999
        assert "SYNTHETIC" in old.attrs["source"]
    sample = synthetic.read(SAMPLE)
    assert sample.x.shape == (1300, 16, 4)
    assert "SYNTHETIC" in sample.source


def test_damaged_sample(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        synthetic.read(tmp_path / "none.h5")
    (tmp_path / "half.h5").write_bytes(SAMPLE.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be read as HDF5"):
        synthetic.read(tmp_path / "half.h5")
    shutil.copy(SAMPLE, tmp_path / "odd.h5")
    import h5py
    with h5py.File(tmp_path / "odd.h5", "r+") as file:
        del file["signal"]
    with pytest.raises(ValueError, match="expected signal"):
        synthetic.read(tmp_path / "odd.h5")


def test_folds(rng):
    y = np.repeat([0, 1, 2], (40, 13, 7))
    data = Dataset(rng.random((3, 60, 2)), y, classes="abc")
    folds = data.folds(5, seed=3)
    assert sorted(np.concatenate([held.x for _, held in folds], 1)[0, :, 0]) == sorted(data.x[0, :, 0])
    for rest, held in folds:
        assert len(rest) + len(held) == 60 and not set(rest.x[0, :, 0]) & set(held.x[0, :, 0])
        counts = np.bincount(held.y)
        assert counts[0] == 8 and counts[1] in (2, 3) and counts[2] in (1, 2)
    again, other = data.folds(5, seed=3), data.folds(5, seed=4)
    assert all((a[1].x == b[1].x).all() for a, b in zip(folds, again, strict=True))
    assert set(folds[0][1].x[0, :, 0]) != set(other[0][1].x[0, :, 0])
    steps = Dataset(rng.random((3, 7, 2)), rng.integers(0, 2, (3, 7)), time_first=True)
    assert sorted(len(held) for _, held in steps.folds(3)) == [2, 2, 3]
    for n in (1, 61, 2.5, True):
        with pytest.raises(ValueError, match="the number of folds goes from 2 to the 60 samples; got"):
            data.folds(n)


def test_select_split_and_batches(rng):
    y = rng.integers(0, 3, (7, 20))
    data = Dataset(rng.random((7, 20, 4)), y, lengths=np.arange(20) % 8, mask=rng.random((7, 20)) < 0.5,
                   labelled=y > 0, classes="abc")
    rest, held = data.split(0.25, seed=1)
    assert (len(rest), len(held)) == (15, 5)
    both = np.concatenate([rest.x, held.x], 1)
    assert sorted(both.sum((0, 2))) == pytest.approx(sorted(data.x.sum((0, 2))))
    assert data.split(0.25, seed=1)[1].y.tobytes() == held.y.tobytes()
    assert data.split(0.25, seed=2)[1].y.tobytes() != held.y.tobytes()
    batches = list(data.batches(6, np.random.default_rng(0)))
    assert [len(b.samples) for b in batches] == [6, 6, 6, 2]
    assert sorted(np.concatenate([b.samples for b in batches])) == list(range(20))
    for b in batches:
        assert (b.y == y[:, b.samples]).all()
        assert (b.lengths == data.lengths[b.samples]).all()
        assert (b.mask == data.mask[:, b.samples]).all()

"""What a data set takes: axes, sizes, empties; samples one by one; nothing is guessed."""

import warnings

import numpy as np
import pytest

import numsnn as ns
from numsnn.datasets import AxesWarning, Dataset

FIRST = r"Dataset.from_samples\(x, y\)"


@pytest.fixture
def walk():
    """(20, 24, 4): neighbours in time are alike."""
    return np.cumsum(np.random.default_rng(0).normal(size=(20, 24, 4)), 0)


def swapped(a):
    return np.swapaxes(a, 0, 1)


def noise(*shape):
    return np.random.default_rng(1).random(shape)


# ---- both readings of the axes fit


def both_fit(x):
    """(x, y) of each kind, made of sequences x."""
    square = swapped(x[:, :20])                                             # as many steps as samples
    return {"labels": (swapped(x), swapped(x[..., 0] > 0).astype(int)),
            "targets": (swapped(x), swapped(x)),
            "square": (square, np.arange(20) % 3),
            "spikes": (ns.Spikes.from_dense(square > 0), np.arange(20) % 3),
            "square targets": (square, np.zeros((20, 1))),
            "noise": (noise(20, 24, 4), (noise(20, 24) * 3).astype(int))}


@pytest.mark.parametrize("kind", ["labels", "targets", "square", "spikes", "square targets", "noise"])
def test_a_warning_where_both_readings_fit(kind, walk):
    x, y = both_fit(walk)[kind]
    with pytest.warns(AxesWarning, match=rf"{x.shape[1]} steps of {x.shape[0]} samples fit as well.*{FIRST}"):
        data = Dataset(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Dataset(x, y, time_first=True)
        data[:20].split(0.5)
        list(data.batches(5, np.random.default_rng(0)))


def test_no_warning_where_one_reading_fits_or_the_values_tell(walk):
    labels = (walk[..., 0] > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Dataset(walk, labels)
        Dataset(noise(20, 24, 4), labels)                                   # labels last
        Dataset(walk, walk)
        Dataset(walk[:, :20], np.zeros(20, int))
        Dataset(noise(20, 24, 4), np.zeros(24, int))
        Dataset(noise(20, 24, 4), np.zeros((24, 2)))
        Dataset(noise(20, 24, 4), (noise(20, 24) > 0.5).astype(int), lengths=np.full(24, 9))
        Dataset(noise(20, 24, 4), (noise(20, 24) > 0.5).astype(int), groups=np.zeros(24))
        Dataset(noise(20, 1, 4), (noise(20, 1) > 0.5).astype(int))
        Dataset.from_samples(swapped(walk), swapped(labels))
        ns.datasets.synthetic.ecg(12, 20)


def test_targets_of_as_many_as_steps(walk):
    with pytest.warns(AxesWarning, match=r"y \(20, 20\) is taken as 20 targets of each sequence"):
        assert Dataset(walk[:, :20], walk[:, :20, 0]).y.shape == (20, 20)
    with pytest.warns(AxesWarning, match=r"y \(24, 20\).*give y\[..., None\]"):
        Dataset.from_samples(swapped(walk), swapped(walk)[..., 0])


# ---- what is refused, and what is said of it


X = np.zeros((4, 3, 2))
LABELS = np.array([0, 1, 2])
PER_STEP = np.zeros((4, 3), int)
NAN_PADDED = np.where(np.arange(4)[:, None, None] < 2, X, np.nan)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"y": np.zeros(4, int)}, f"They fit the first axis of x: is that the samples.*{FIRST}"),
    ({"y": np.zeros((3, 4), int)}, r"with time first, too: np.swapaxes\(y, 0, 1\)"),
    ({"y": np.zeros(7, int)}, FIRST),
    ({"x": X[0]}, rf"x\[:, None, :\].*{FIRST}"),
    ({"x": np.zeros((4, 3, 2, 5, 5))}, r"Pictures are features, x.reshape\(\*x.shape\[:2\], -1\)"),
    ({"x": np.zeros((4, 3, 0))}, r"\(4, 3, 0\) holds no features"),
    ({"x": np.zeros((0, 3, 2))}, r"\(0, 3, 2\) holds no steps"),
    ({"x": ns.Spikes.from_dense(np.zeros((0, 3, 2), bool))}, "holds no steps"),
    ({"x": X * 1j}, "expected numbers; got complex numbers"),
    ({"x": [[[1.0]], [[1.0], [2.0]]]}, "expected one array; got what makes none.*Dataset.from_samples"),
    ({"x": np.array([X[0], X[1], None], object)}, "expected numbers; got Python objects"),
    ({"x": None}, "got Python objects"),
    ({"x": np.ma.array(X, mask=X == 0)}, "masked array, and what it masks would count; fill it"),
    ({"x": NAN_PADDED}, "sample 0 is nan at step 2, feature 0; clean the data first$"),
    ({"x": NAN_PADDED, "lengths": [2, 2, 2]}, "It is padding, which must be finite, too: put 0 there"),
    ({"y": -LABELS}, "labels are classes from 0 on; got -2 ... 0"),
    ({"y": PER_STEP - 1}, r"Steps without a label get 0 and are left out by mask=\(y >= 0\)"),
    ({"y": np.full(3, 2**64 - 1, np.uint64)}, "from 0 on; got 18446744073709551615"),
    ({"y": LABELS * 1.0}, r"Labels of classes are y.astype\(int\), targets y\[..., None\]"),
    ({"y": LABELS > 0}, r"got bool.*y.astype\(int\)"),
    ({"y": np.eye(3, dtype=int)}, r"One-hot labels are y.argmax\(-1\), targets y.astype\(float\)"),
    ({"y": LABELS[:, None]}, r"Labels are y\[..., 0\]"),
    ({"y": ["a", "b", "a"]}, r"labels are texts; say which class has which number: classes=\['a', 'b'\]"),
    ({"y": ["a", "b", "c"], "classes": "ab"}, "no class 'c'; classes are a, b"),
    ({"y": [0, 1, None]}, "got Python objects"),
    ({"y": np.ma.array(LABELS, mask=[0, 1, 0])}, "masked array"),
    ({"classes": ["a", "b", "a"]}, "two classes have the name 'a'"),
    ({"y": LABELS, "classes": "ab"}, "label 2, but 2 classes have names: a, b"),
    ({"y": np.zeros((3, 0))}, "hold no number"),
    ({"y": np.full((3, 2), np.inf)}, r"the target \(0, 0\) is inf; targets must be finite, padded ones, too"),
    ({"lengths": [2.7, 1, 1]}, r"lengths: expected 3 integers.*got float64 of shape \(3,\): 2.7"),
    ({"lengths": [np.nan, 1, 1]}, "expected 3 integers"),
    ({"lengths": [-3, 1, 1]}, r"lengths must lie in 0 ... T = 4; got -3 ... 1"),
    ({"lengths": [5, 1, 1]}, "got 1 ... 5"),
    ({"lengths": [1, 1, 1, 1]}, "Time comes first"),
    ({"lengths": ["1", "1", "1"]}, "lengths: expected numbers; got texts"),
    ({"lengths": [True, True, True]}, "expected 3 integers.*got bool"),
    ({"lengths": 2}, r"got int64 of shape \(\)"),
    ({"lengths": [[1], [1, 2], [1]]}, "lengths: expected one array"),
    ({"y": PER_STEP, "mask": np.ones((3, 4))}, r"expected a mask \(T, B\) = \(4, 3\).*Time comes first"),
    ({"y": PER_STEP, "mask": np.full((4, 3), 0.5)}, "expected booleans, or 0 and 1; got 0.5"),
    ({"y": PER_STEP, "labelled": np.full((4, 3), np.nan)}, "labelled says which steps count.*got nan"),
    ({"groups": "abcd"}, "groups must hold 3 values"),
    ({"groups": [[1], [1, 2], 3]}, "groups: expected one array"),
    ({"groups": list("abcd")}, f"groups must hold 3 values.*{FIRST}")])
def test_what_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Dataset(**{"x": X, "y": LABELS, "time_first": True, **arguments})


def test_what_is_taken():
    assert Dataset(X, LABELS, lengths=[3.0, 2.0, 4.0]).lengths.tolist() == [3, 2, 4]
    assert Dataset(X, ["b", "a", "b"], classes="ab").y.tolist() == [1, 0, 1]
    assert Dataset(np.ma.array(X), LABELS).y.tolist() == [0, 1, 2]
    assert Dataset(X, LABELS.astype(np.uint8)).y.dtype == np.int64
    assert Dataset(X, PER_STEP, mask=np.ones((4, 3)), time_first=True).mask.dtype == bool
    assert Dataset(X, LABELS, classes=[7, 8, 9]).classes == ("7", "8", "9")
    with pytest.raises(TypeError, match=r"classes are names of classes, such as .*; got 3"):
        Dataset(X, LABELS, classes=3)
    for y in ([], np.zeros(0, int)):
        assert len(Dataset(np.zeros((4, 0, 2)), y)) == 0
    with pytest.raises(TypeError, match=r"events have no steps yet: x=events.bin\(dt=...\)"):
        Dataset(ns.Events([0, 1], [0, 1], shape=(2,)), [0])


def test_choices_of_samples():
    data = Dataset(X, LABELS)
    assert len(data[[]]) == len(data[np.zeros(0)]) == len(data[:0]) == 0 and data[-1].y.tolist() == [2]
    assert data[np.array([True, False, True])].y.tolist() == [0, 2]
    for size in (0, -1, 2.5):
        with pytest.raises(ValueError, match="size must be a positive integer"):
            data.batches(size)
    for fraction in (np.nan, "0.2", 1, True, 0.01):
        with pytest.raises(ValueError, match="leaves a part empty"):
            data.split(fraction)


# ---- samples one by one


RAGGED = [np.arange(n * 2.0).reshape(n, 2) for n in (3, 5, 1)]


def test_samples_of_unequal_length_are_padded():
    for samples in (RAGGED, tuple(RAGGED), iter(RAGGED), np.array(RAGGED, object),
                    [a.tolist() for a in RAGGED]):
        data = Dataset.from_samples(samples, [0, 1, 0], groups=list("aba"), name="mine")
        assert data.x.shape == (5, 3, 2) and data.lengths.tolist() == [3, 5, 1]
        for b, a in enumerate(RAGGED):
            assert np.array_equal(data.x[:len(a), b], a) and not data.x[len(a):, b].any()
        assert data.name == "mine" and data.groups.tolist() == list("aba")
    one_feature = Dataset.from_samples([a[:, 0] for a in RAGGED], [0, 1, 0])
    assert np.array_equal(one_feature.x, data.x[..., :1])
    pictures = Dataset.from_samples([np.ones((n, 2, 3, 3)) for n in (4, 2)], [0, 1])
    assert pictures.x.shape == (4, 2, 18)


def test_arrays_with_the_samples_first():
    x = noise(6, 9, 2)
    data = Dataset.from_samples(x, np.arange(6) % 2)
    assert np.array_equal(data.x, swapped(x)) and data.lengths is None
    assert Dataset.from_samples(x[..., 0], np.arange(6)).x.shape == (9, 6, 1)
    padded = Dataset.from_samples(x, np.arange(6), lengths=[9, 3, 1, 2, 4, 5])
    assert padded.lengths.tolist() == [9, 3, 1, 2, 4, 5]
    steps = Dataset.from_samples(x, np.arange(54).reshape(6, 9), mask=x[..., 0] > 0.5)
    assert np.array_equal(steps.y, np.arange(54).reshape(6, 9).T)
    assert np.array_equal(steps.mask, (x[..., 0] > 0.5).T)


def test_labels_and_targets_of_samples():
    data = Dataset.from_samples(RAGGED, [[1, 2, 3], [4, 5, 6, 7, 8], [9]], mask=[[1, 0, 1], [1] * 5, [0]])
    assert data.y.T.tolist() == [[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [9, 0, 0, 0, 0]]
    assert data.mask.T.astype(int).tolist() == [[1, 0, 1, 0, 0], [1] * 5, [0] * 5]
    names = Dataset.from_samples(RAGGED, [["b"] * 3, ["a"] * 5, ["b"]], classes="ab")
    assert names.y[:3, 0].tolist() == [1, 1, 1] and names.y[:, 1].tolist() == [0] * 5
    assert Dataset.from_samples(RAGGED, noise(3, 4)).y.shape == (3, 4)
    assert Dataset.from_samples(RAGGED, RAGGED).y.shape == (5, 3, 2)


def test_spikes_and_events_of_samples():
    dense = [noise(n, 1, 4) < 0.5 for n in (3, 6)]
    counts = ns.Spikes.from_dense(np.full((2, 1, 4), 3))
    data = Dataset.from_samples([*map(ns.Spikes.from_dense, dense), counts], [0, 1, 0])
    assert data.lengths.tolist() == [3, 6, 2]
    x = data.x.dense()
    assert np.array_equal(x[:3, 0], dense[0][:, 0]) and np.array_equal(x[:, 1], dense[1][:, 0])
    assert (x[:2, 2] == 3).all() and not x[3:, 0].any() and not x[2:, 2].any()
    events = [ns.Events([0, 10, 2500], [0, 1, 2], shape=(3,)), ns.Events([0, 5500], [0, 1], shape=(3,)),
              ns.Events(np.zeros(0, int), np.zeros(0, int), shape=(3,))]
    for given in (events, ns.Events.concatenate(events)):
        data = Dataset.from_samples(given, [0, 1, 0], dt=1e-3)
        assert data.lengths.tolist() == [3, 6, 1] and data.x.shape == (6, 3, 3)
        assert np.argwhere(data.x.dense()[:, 1]).tolist() == [[0, 0], [5, 1]]


@pytest.mark.parametrize(("samples", "y", "more", "words"), [
    (RAGGED, [0, 1], {}, r"3 samples, but labels of shape \(2,\)"),
    (RAGGED, [[0] * 3, [1] * 4, [2]], {}, r"sample 1 has 5 steps, but labels of shape \(4,\)"),
    (RAGGED, [a[:, 0] for a in RAGGED], {}, r"of one target a\[:, None\]"),
    (RAGGED, 3, {}, "labels: expected an array or a list, one item for each sample; got 3"),
    (RAGGED, [0, 1, 0], {"lengths": [4, 1, 1]}, "sample 0 has 3 steps; its length cannot be 4"),
    (RAGGED, [0, 1, 0], {"mask": [[1], [1], [1]]}, r"sample 0 has 3 steps, but mask of shape \(1,\)"),
    ([np.ones((3, 2)), np.ones((3, 4))], [0, 1], {}, r"sample 0 has shape \(3, 2\), sample 1 \(3, 4\)"),
    ([np.ones((3, 2)), np.ones((0, 2))], [0, 1], {}, r"sample 1 has shape \(0, 2\).*at least one step"),
    ([np.full((3, 2), np.nan)], [0], {}, "sample 0 is nan at step 0"),
    ([], [], {}, "there are no samples"),
    (None, [0], {}, "samples: expected an array or a list"),
    ("abc", [0, 1, 2], {}, "sample 0: expected numbers; got texts"),
    ([ns.Spikes.from_dense(X > 0)], [0], {}, r"Spikes \(T_i, 1, 2\); sample 0 has shape \(4, 3, 2\)"),
    (ns.Spikes.from_dense(X > 0), [0], {}, "time first, already"),
    ([ns.Events([0], [0], shape=(3,))], [0], {}, "say how long one is, dt= seconds")])
def test_samples_that_are_refused(samples, y, more, words):
    with pytest.raises((ValueError, TypeError), match=words):
        Dataset.from_samples(samples, y, **more)

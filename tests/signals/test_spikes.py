"""Spikes: from and to dense, slices, choices, and what is refused."""

import numpy as np
import pytest

from numsnn import Spikes


def test_round_trip_binary_and_counts(rng):
    shape = (7, 5, 11)
    for x in (rng.random(shape) < 0.3, (rng.random(shape) < 0.3).astype(np.uint8), rng.poisson(0.4, shape)):
        spikes = Spikes.from_dense(x)
        assert (spikes.dense() == x).all()
        assert spikes.n_spikes == (x > 0).sum()
        assert (spikes.multiplicity is None) == (x.max() <= 1)
    assert Spikes.from_dense(np.zeros((0, 3, 4), bool)).shape == (0, 3, 4)


def test_from_rows_equals_from_dense(rng):
    x = rng.random((4, 3, 9)) < 0.4
    row, unit = np.nonzero(x.reshape(-1, 9))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=12))))
    assert (Spikes(x.shape, offsets, unit).dense() == x).all()
    assert (Spikes(x.shape, offsets, unit, np.full(unit.size, 2.0)).dense() == 2 * x).all()


def test_slices_and_choices_share_the_buffer(rng):
    x = rng.random((9, 6, 5)) < 0.4
    spikes = Spikes.from_dense(x)
    assert (spikes[2:7].dense() == x[2:7]).all()
    assert (spikes[-3:].select([5, 0, 0]).dense() == x[-3:, [5, 0, 0]]).all()
    assert (spikes.select(slice(1, 4))[:2].dense() == x[:2, 1:4]).all()
    assert spikes[2:7].index is spikes.index
    assert spikes[5:2].shape == (0, 6, 5)
    assert abs(spikes[2:7].rate - x[2:7].mean()) < 1e-12


@pytest.mark.parametrize(("arguments", "message"), (
    (((2, 2), [0, 1], [0]), r"shape \(T, B, N\)"),
    (((2, 1, 3), [0, 1], [0]), "T \\* B \\+ 1 = 3 ascending numbers"),
    (((2, 1, 3), [0, 2, 1], [0]), "ascending numbers"),
    (((2, 1, 3), [0, 1, 3], [0, 1]), "offsets\\[-1\\] = 3 entries"),
    (((2, 1, 3), [0, 1, 2], [0, 3]), "from 0 to N - 1 = 2; got 0 to 3"),
    (((2, 1, 3), [0, 1, 2], [0, -1]), "got -1 to 0"),
    (((2, 1, 3), [0, 2, 2], [1, 1]), "ascend within each row"),
    (((2, 1, 3), [0, 1, 2], [1, 1], [1.0, np.nan]), "positive numbers"),
))
def test_bad_rows_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Spikes(*arguments)


def test_bad_arrays_are_refused():
    with pytest.raises(ValueError, match=r"expected an array \(T, B, N\).*got shape \(3, 4\)"):
        Spikes.from_dense(np.zeros((3, 4)))
    for bad in (-1, np.nan):
        with pytest.raises(ValueError, match="zero or positive"):
            Spikes.from_dense(np.full((1, 1, 1), bad))
    with pytest.raises(TypeError, match="sliced in time only"):
        Spikes.from_dense(np.zeros((3, 4, 5), bool))[0]


def test_what_cannot_be_joined_is_refused(rng):
    spikes = Spikes.from_dense(rng.random((4, 3, 9)) < 0.4)
    for parts in ([], [spikes, np.zeros((4, 3, 9))], np.zeros((0, 3))):
        with pytest.raises(ValueError, match="expected Spikes, at least one"):
            Spikes.join(parts, 0)
    with pytest.raises(ValueError, match="axis must lie in 0 ... 2"):
        Spikes.join([spikes], 3)


def test_no_units():
    spikes = Spikes.from_dense(np.zeros((4, 3, 0)))
    assert spikes.shape == (4, 3, 0) and spikes.dense().shape == (4, 3, 0)


def test_the_same_rows_as_other_steps():
    x = np.random.default_rng(2).integers(0, 3, (4, 3, 5))
    spikes = Spikes.from_dense(x)
    other = spikes.reshaped(2, 6)
    assert np.array_equal(other.dense(), x.reshape(2, 6, 5)) and other.index is spikes.index
    with pytest.raises(ValueError, match="12 rows are not 5 steps of 2 samples"):
        spikes.reshaped(5, 2)

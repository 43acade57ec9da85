"""Nothing is computed in the type that the caller's numbers happen to have."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import encode
from numsnn.datasets.recordings import Bins

SMALL = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64)


def pixels(dtype):
    """Six events at the far ends of a field of 120 x 100 pixels, in columns of a type."""
    t = np.array([0, 5, 60, 61, 100, 120], dtype)
    x, y = np.array([0, 119, 118, 5, 119, 60], dtype), np.array([99, 0, 98, 99, 50, 7], dtype)
    return ns.Events(t, x=x, y=y, p=np.array([0, 1, 1, 0, 1, 0], dtype), shape=(2, 100, 120))


def rng():
    return np.random.default_rng(3)


CHANGES = {
    "moved": lambda e: e.moved(30, rng()),
    "moved by a small number": lambda e: e.moved(np.uint8(30), rng()),
    "mirrored": lambda e: e.mirrored(),
    "crop": lambda e: e.crop(np.uint8(3), np.int8(5), np.int8(117), np.uint8(95)),
    "downscale": lambda e: e.downscale(np.uint8(200)),
    "polarity": lambda e: e.polarity("on"),
    "flat": lambda e: e.flat(),
    "pool": lambda e: e.flat().pool(100_000),
    "slice": lambda e: e.slice(5e-6, 110e-6),
    "shifted": lambda e: e.shifted(np.float16(0.5)),
    "from zero": lambda e: e.shifted(-50e-6).from_zero(),
    "jittered": lambda e: e.jittered(1e-4, rng()),
    "dropped": lambda e: e.dropped(0.3, rng()),
    "one": lambda e: e[0],
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_the_same_in_every_type(name):
    want = CHANGES[name](pixels(np.int64))
    for dtype in SMALL:
        got = CHANGES[name](pixels(dtype))
        assert got == want, dtype
        assert [c.dtype for c in got.columns] == [c.dtype for c in want.columns], dtype


def test_units_moved_beyond_255_stay_where_they_belong():
    events = ns.Events(np.arange(2), np.array([250, 251], np.uint8), shape=(700,))
    assert events.moved(20, np.random.default_rng(0)).place.tolist() == [264, 265]
    assert (2 * pixels(np.uint8).p - 1).tolist() == [-1, 1, 1, -1, 1, -1]
    assert (pixels(np.uint8).x - 1).min() == -1


def test_binning_in_every_type():
    want = pixels(np.int64).bin(1e-6).dense()
    for dtype in SMALL:
        events = pixels(dtype)
        assert np.array_equal(events.bin(1e-6).dense(), want)
        step = events.steps(1e-6)[0]
        assert np.array_equal(events.rows(step.astype(dtype), dtype(121)).dense(), want)
        assert events.bin(n=dtype(100), counts=True).shape[0] == 100
        assert events.bin(per_step=dtype(1)).shape[0] == 6
        assert Bins(dt=1e-6, steps=dtype(125))(ns.Events.concatenate([events] * 3))[0].shape[:2] == (125, 3)
    assert pixels(np.int8).steps(n=np.int8(100))[1].dtype.itemsize == 8


def test_float_times_are_computed_in_double_precision():
    t = np.array([1000.0, 1000.5, 1001.0], np.float16)
    events = ns.Events(t, np.zeros(3, int), shape=1, tick=1.0)
    assert events.slice(1000.3, 1000.7).n_events == 1
    assert events.shifted(0.001).t.tolist() == [1000.001, 1000.501, 1001.001]
    assert ns.Events(np.array([1.0], ">f8"), [0], shape=1).t.dtype.isnative
    assert ns.Events(np.array([1.0], np.longdouble), [0], shape=1).t.dtype == np.float64


@pytest.mark.parametrize("make, words", [
    (lambda: ns.Events(np.array([1 << 63], np.uint64), [0], shape=1), "between -2\\^62 and 2\\^62"),
    (lambda: ns.Events([0], np.array([1 << 63], np.uint64), shape=9), "unit must be from 0 to 8"),
    (lambda: ns.Events([0, 1], [0, 0], shape=1, offsets=[0, 1.5, 2]), "offsets must be integers"),
    (lambda: ns.Events([0], [0], shape=(2.5,)), "shape must be integers"),
    (lambda: ns.Events([0], x=[0], y=[0], p=[0], shape=(2, 1 << 20, 1 << 20)), "2\\^32 are the most"),
    (lambda: pixels(int).keep([0, 1]), "mask must hold true or false"),
    (lambda: pixels(int).keep([0, 1, 1, 0, 1, 0]), "mask must hold true or false"),
    (lambda: pixels(int).downscale(2.5), "whole number of at least 1; got 2.5"),
    (lambda: pixels(int).crop(0.5, 0, 3, 3), "x must be a whole number"),
    (lambda: pixels(int).shifted(1e300), "cannot be moved"),
    (lambda: pixels(int).jittered(np.nan, rng()), "standard deviation"),
    (lambda: pixels(int).slice(np.nan, 1), "two times in seconds"),
    (lambda: pixels(int).bin(n=2.5), "n must be a whole number"),
    (lambda: pixels(int).rows(np.zeros(3, int), 4), "a step for each of the 6 events"),
    (lambda: pixels(int).rows(np.zeros(6), 4), "step must be integers"),
    (lambda: ns.Spikes((1, 1, 5), [0, 1.5], [0]), "offsets must be integers"),
    (lambda: ns.Spikes((1, 1, 5), [0, 1], [0], [(1 << 24) + 1]), "up to 2\\^24"),
    (lambda: ns.Spikes.from_dense(np.full((1, 1, 1), 1e300)), "fit into float32"),
    (lambda: ns.Spikes.from_dense(np.full((1, 1, 1), 300)).dense(np.uint8), "no numbers of uint8"),
    (lambda: ns.Dataset(np.zeros((2, 1, 3)), np.array([1 << 63], np.uint64)), "classes from 0 on; got 9223"),
    (lambda: ns.Dataset(np.zeros((2, 1, 3)), [0], lengths=[1.7]), "expected 1 integers"),
])
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_spikes_in_every_type():
    x = np.zeros((200, 1, 3), np.uint8)
    x[:, 0, 1] = 200
    spikes = ns.Spikes.from_dense(x)
    assert spikes.repeated(np.uint8(2)).shape == (400, 1, 3)
    assert np.array_equal(spikes.dense(np.uint8), x)
    for dtype in SMALL:
        offsets, index = np.array([0, 1, 2], dtype), np.array([99, 5], dtype)
        made = ns.Spikes((dtype(2), dtype(1), dtype(100)), offsets, index)
        assert made.shape == (2, 1, 100) and made.index.tolist() == [99, 5]


def test_settings_of_codes_in_every_type():
    signal = np.cumsum(np.random.default_rng(0).normal(0, 3, (50, 2)), 0)
    code = encode.delta(signal, 2)
    for dtype in SMALL:
        limited = encode.delta(signal, dtype(2), limit=dtype(5))
        assert np.array_equal(limited, encode.delta(signal, 2, limit=5))
        assert np.array_equal(encode.level_crossing(signal, dtype(2), dtype(5), dtype(3)),
                              encode.level_crossing(signal, 2, 5, 3))
        assert np.array_equal(encode.decode_delta(code.astype(dtype), dtype(2)), encode.decode_delta(code, 2))
        assert np.array_equal(encode.ternary(np.array([0, 100], dtype), dtype(3)), [0, 1])
        assert encode.decode_ternary([1], dtype(100), dtype(101)) == 100.5
        x = np.array([0, 60, 120], dtype)
        bounds = {"low": dtype(0), "high": dtype(127)}
        assert np.array_equal(encode.thermometer(x, dtype(9), **bounds),
                              encode.thermometer(x.astype(float), 9, low=0, high=127))
        assert np.array_equal(encode.rbf(x, dtype(9), width=dtype(50), **bounds),
                              encode.rbf(x.astype(float), 9, width=50, low=0, high=127))
        spikes = encode.latency([0.5, 1.0], 30, tau=20)
        assert np.array_equal(encode.decode_latency(spikes, dtype(20)), encode.decode_latency(spikes, 20))
    wide = {"low": np.int8(-100), "high": np.int8(100)}
    assert encode.thermometer([0.0], 4, **wide).sum() == 2

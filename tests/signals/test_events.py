"""Events: binning against a loop over events, choosing, places, chance, and what is refused."""

import itertools

import numpy as np
import pytest

import numsnn as ns
from numsnn.signals.events import Events, shd_frames


def pixels(n=500, recordings=3, seed=0):
    rng = np.random.default_rng(seed)
    offsets = np.sort(np.concatenate(([0, n], rng.integers(0, n, recordings - 1))))
    t = np.concatenate([np.sort(rng.integers(0, 50_000, b - a)) for a, b in itertools.pairwise(offsets)])
    x, y, p = (rng.integers(0, size, n) for size in (7, 5, 2))
    return Events(t, x=x, y=y, p=p, shape=(2, 5, 7), offsets=offsets)


def counted(events, step_of, total):
    """(T, B, N) counts, event by event."""
    x = np.zeros((total, len(events), events.n_units))
    for b in range(len(events)):
        for i in range(events.offsets[b], events.offsets[b + 1]):
            step = step_of(events, b, i)
            if step < total:
                unit = (events.p[i] * events.shape[1] + events.y[i]) * events.shape[2] + events.x[i]
                x[step, b, unit] += 1
    return x


@pytest.mark.parametrize("counts", [False, True])
def test_bins_of_dt(counts):
    events = pixels()
    want = counted(events, lambda e, b, i: int(e.t[i]) // 1000, 50)
    got = events.bin(1e-3, steps=50, counts=counts)
    assert np.array_equal(got.dense(), want if counts else want > 0)
    ends = [int(events.t[b - 1]) // 1000 + 1 for b in events.offsets[1:]]
    assert np.array_equal(events.steps(1e-3)[1], ends)
    frames = events.frames(1e-3, steps=50, counts=counts)
    assert frames.shape == (50, 3, 2, 5, 7)
    assert np.array_equal(frames.reshape(got.shape), got.dense())


def test_bins_of_a_fixed_number_and_of_events():
    events = pixels()

    def part(e, b, i):
        first, last = int(e.t[e.offsets[b]]), int(e.t[e.offsets[b + 1] - 1])
        return min(int((int(e.t[i]) - first) * 8 / (last - first)), 7)

    def twentieth(e, b, i):
        return (i - e.offsets[b]) // 20

    assert np.array_equal(events.bin(n=8, counts=True).dense(), counted(events, part, 8))
    got = events.bin(per_step=20, counts=True)
    assert np.array_equal(got.dense(), counted(events, twentieth, got.shape[0]))
    assert (got.dense().sum(2).max() == 20)
    assert events.bin(per_step=1 << 63).shape[0] == 1


def test_a_multiple_of_dt_begins_its_step():
    """Times on the bounds, whose quotient is not exact in floating point."""
    for dt in (1e-3, 4e-3, 7e-3, 0.1):
        t = np.arange(200) * dt
        events = Events(t, np.zeros(200, int), shape=1, tick=1.0)
        assert np.array_equal(events.steps(dt)[0], np.arange(200))


def test_the_authors_framing_as_their_loop():
    """Line by line what the program does (papers: SHD), on float16 times."""
    rng = np.random.default_rng(3)
    times = np.sort(rng.uniform(0, 1.2, 4000)).astype(np.float16)
    units = rng.integers(0, 700, 4000).astype(np.uint16)
    frames, left = [], np.ones(4000, bool)
    for i in range(int(1 / 4e-3)):
        taken = left & (times <= i * 4e-3)
        vector = np.zeros(700)
        values = units[taken].astype(int)
        vector[700 - values[values > 0]] = 1
        left &= ~taken
        frames.append(vector)
    got = shd_frames(Events(times, units, shape=700, tick=1.0))
    assert got.shape == (250, 1, 700)
    assert np.array_equal(got.dense()[:, 0], frames)
    assert got.n_spikes > 2000


def test_choosing():
    events = pixels()
    assert events[[2, 0]].n_events == np.diff(events.offsets)[[2, 0]].sum()
    assert len(events[1]) == 1
    assert Events.concatenate([events[0], events[1], events[2]]) == events
    cut = events.slice(0.01, 0.02)
    assert cut.t.min() >= 0
    assert cut.t.max() < 10_000
    assert cut.n_events == ((events.t >= 10_000) & (events.t < 20_000)).sum()
    assert np.array_equal(events.from_zero().t[events.offsets[:-1]], np.zeros(3))
    shuffled = np.random.default_rng(1).permutation(100)
    t = np.arange(100)
    assert Events.sorted(t[shuffled], shuffled % 9, shape=9) == Events(t, t % 9, shape=9)
    durations = [(events.t[b - 1] - events.t[a]) * 1e-6 for a, b in itertools.pairwise(events.offsets)]
    assert np.allclose(events.durations, durations)


def test_places():
    events = pixels()
    small = events.downscale(2)
    assert small.shape == (2, 3, 4)
    assert np.array_equal(small.x, events.x // 2)
    cut = events.crop(1, 2, 3, 2)
    inside = (events.x >= 1) & (events.x < 4) & (events.y >= 2) & (events.y < 4)
    assert cut.shape == (2, 2, 3)
    assert cut.n_events == inside.sum()
    assert np.array_equal(cut.x, events.x[inside] - 1)
    on, off, both = (events.polarity(which).n_events for which in ("on", "off", "merge"))
    assert on + off == both == 500
    assert events.mirrored().mirrored() == events
    assert np.array_equal(events.mirrored().x, 6 - events.x)
    assert events.flat().shape == (70,)
    assert np.array_equal(events.flat().bin(1e-3).dense(), events.bin(1e-3).dense())
    sound = Events(np.arange(700), np.arange(700), shape=700)
    assert sound.pool(5).shape == (140,)
    assert np.array_equal(np.bincount(sound.pool(5).unit), np.full(140, 5))


def test_chance_only_through_the_generator():
    events = pixels()
    for change, most in ((events.dropped, 0.3), (events.jittered, 1e-3), (events.moved, 2)):
        one, same, other = (change(most, np.random.default_rng(seed)) for seed in (5, 5, 6))
        assert one == same
        assert one != other
        assert len(one) == 3
    kept = pixels(20_000).dropped(0.3, np.random.default_rng(0)).n_events
    assert abs(kept - 14_000) < 5 * np.sqrt(20_000 * 0.21)
    moved = events.moved(2, np.random.default_rng(1))
    assert moved.x.max() < 7 and moved.y.max() < 5 and 0 < moved.n_events < 500
    assert (np.diff(events.jittered(5e-3, np.random.default_rng(2))[0].t) >= 0).all()


@pytest.mark.parametrize("change, words", [
    ({"t": [3, 1, 2]}, "run backwards in recording 0 at event 1"),
    ({"x": [0, 7, 0]}, "x must be from 0 to 6; got 0 to 7"),
    ({"p": [0, 2, 0]}, "p must be from 0 to 1"),
    ({"shape": (3, 5, 7)}, "one or two polarities"),
    ({"offsets": [0, 2]}, "ascend from 0 to the number of events, 3"),
    ({"t": [0.0, np.nan, 1.0]}, "not finite"),
    ({"y": [0.5, 1, 2]}, "vector of 3 integers"),
])
def test_refused(change, words):
    good = {"t": [1, 2, 3], "x": [0, 1, 2], "y": [0, 1, 2], "p": [0, 1, 0], "shape": (2, 5, 7)}
    Events(**good)
    with pytest.raises(ValueError, match=words):
        Events(**(good | change))


def test_refused_binning():
    events = pixels()
    for arguments in ({}, {"dt": 1e-3, "n": 5}, {"dt": -1.0}, {"n": 0}, {"dt": np.nan}):
        with pytest.raises(ValueError):
            events.bin(**arguments)
    with pytest.raises(ValueError, match="longer dt"):
        events.bin(1e-12)
    with pytest.raises(ValueError, match="before 0"):
        events.shifted(-1.0).bin(1e-3)
    with pytest.raises(ValueError, match="pool is for units"):
        events.pool(5)


def test_events_reach_a_network_without_becoming_dense():
    x = pixels().flat().bin(1e-3, steps=50)
    net = ns.Network(ns.Dense(70, 8), ns.LIF(8), ns.OverTime("sum"), seed=0, device="reference")
    assert isinstance(x, ns.Spikes)
    assert np.array_equal(net.run(x)[0], net.run(x.dense())[0])


def test_offsets_that_do_not_fit_are_refused_before_sorting():
    for offsets in (-1, [1, 2], [0, 2], [0, 3, 2, 3]):
        with pytest.raises(ValueError, match="offsets must ascend from 0 to the number of events, 3"):
            Events.sorted([3, 1, 2], [0, 1, 2], shape=(20,), offsets=offsets)

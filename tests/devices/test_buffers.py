"""Memory of large arrays, and chunks that write to one array.

It is used again when nobody holds it, never twice at once, and never more of it is kept than was in use.
"""

import gc
import os
import threading
import weakref

import numpy as np
import pytest

import numsnn as ns
from numsnn.devices import buffers

N = buffers.LARGE           # bytes


@pytest.fixture
def pool(monkeypatch):
    """A pool of its own."""
    pool = buffers.Pool(lambda size: np.empty(size, np.uint8), buffers._most_kept())
    monkeypatch.setattr(buffers, "_pool", pool)
    return pool


def kept(pool):
    pool._collect()
    return sum(memory.nbytes for memory in pool.free)


def address(a):
    return a.__array_interface__["data"][0]


def test_memory_is_used_again_when_the_last_view_is_gone(pool):
    a = buffers.empty((N // 4, 1), np.float32)
    where, view = address(a), a[3:, 0][::2]
    assert where % buffers.LINE == 0 and a.flags.c_contiguous and a.flags.writeable and a.flags.aligned
    del a
    b = buffers.empty(N // 4, np.float32)
    assert address(b) != where
    view[:] = 1
    del view
    c = buffers.empty((2, N // 16), np.float64)
    assert address(c) == where and c.shape == (2, N // 16) and c.dtype == np.float64


def test_memory_of_an_array_in_a_garbage_cycle_lives(pool):
    """Python calls the finalizers of all that a cycle holds before `__del__` of any of it.

    Memory that is returned there must not have been finalized.
    """
    class Memory:
        nbytes = N

    class Owner:
        def __init__(self):
            self.memory, self.own = pool.take(N), self

        def __del__(self):
            pool.returned.append(self.memory)

    gone, pool.allocate = [], lambda size: Memory()
    owner = Owner()
    where = id(owner.memory)
    weakref.finalize(owner.memory, gone.append, "gone")
    del owner
    gc.collect()
    again = pool.take(N)
    assert id(again) == where and not gone and kept(pool) == 0


def test_no_two_arrays_share_memory(pool):
    rng, held = np.random.default_rng(0), {}
    for i in range(400):
        a = buffers.empty(int(N * rng.uniform(1, 3)), np.uint8)
        a[:] = i % 251
        held[i] = a
        if len(held) > 9:
            del held[list(held)[rng.integers(len(held))]]
        assert all((a == i % 251).all() for i, a in list(held.items())[::4])
    del a
    assert kept(pool) + pool.used <= pool.most
    assert pool.used == sum(a.base.memory.nbytes for a in held.values())


def test_no_more_is_kept_than_was_in_use(pool):
    arrays = [buffers.empty(N, np.uint8) for _ in range(4)]
    most = pool.most
    del arrays[:]
    assert kept(pool) == most
    arrays = [buffers.empty(2 * N, np.uint8)]           # of another size: what does not fit makes room
    assert kept(pool) + pool.used <= most
    del arrays[:]
    pool.limit = N
    assert kept(pool) == 0
    buffers.clear()
    assert pool.most == pool.used == 0


def test_small_arrays_and_those_without_pool_are_the_systems(pool):
    assert buffers.empty(N - 1, np.uint8).flags.owndata
    with buffers.off():
        assert buffers.empty(N, np.uint8).flags.owndata
    assert not buffers.empty(N, np.uint8).flags.owndata
    assert (buffers.zeros((N,), np.uint8) == 0).all()
    a = np.ones((N, 2), np.uint8)[:, 0]
    assert (buffers.contiguous(a) == 1).all() and buffers.contiguous(a).flags.c_contiguous
    assert buffers.contiguous(a.copy()).flags.owndata


def test_threads(pool):
    wrong = []

    def work(k):
        for _ in range(60):
            a = buffers.empty(N, np.uint8)
            a[::4096] = k
            if (a[::4096] != k).any():
                wrong.append(k)
            del a
            gc.collect(0)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and pool.most <= 6 * (N + buffers.LINE) and kept(pool) <= pool.most and pool.used == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_has_a_pool_of_its_own(pool):
    with pool.lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if buffers.empty(N, np.uint8).size == N else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_a_training_step_takes_no_new_memory(pool, monkeypatch):
    monkeypatch.setattr(buffers, "LARGE", 1 << 10)
    rng = np.random.default_rng(0)
    net = ns.Network(ns.Dense(5, 16), ns.ALIF(16, recurrent=True), ns.Dense(16, 3),
                     ns.OverTime("sum", of="softmax"), chunk=2)
    x, labels = ns.Spikes.from_dense(rng.random((40, 6, 5)) < 0.3), rng.integers(0, 3, 6)
    taken, empty = [], np.empty

    def counted(shape, dtype=float, **more):
        if dtype is np.uint8:
            taken.append(shape)
        return empty(shape, dtype, **more)

    with ns.devices.threads.limited(1):
        first = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels)
        second = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels)  # beside what the first handed out
        del first, second
        pool.limit, have = 1 << 40, kept(pool)
        monkeypatch.setattr(buffers.np, "empty", counted)
        net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels)
        assert have > 0 and not taken and kept(pool) == have


ALONE = {
    "LIF": lambda c: ns.Network(ns.LIF(37), seed=1, chunk=c),
    "LIF, v": lambda c: ns.Network(ns.LIF(37, output="v"), seed=1, chunk=c),
    "LIAF": lambda c: ns.Network(ns.LIAF(37), seed=1, chunk=c),
    "behind BatchNorm": lambda c: ns.Network(ns.BatchNorm(), ns.LIF(37), input_shape=37, seed=1, chunk=c),
    "recurrent": lambda c: ns.Network(ns.LIF(37, recurrent=True), seed=1, chunk=c),
    "reference": lambda c: ns.Network(ns.LIF(37), seed=1, chunk=c, device="reference"),
}


@pytest.mark.parametrize("lengths", [None, (30, 3, 0, 7, 30, 29, 1)], ids=["whole", "padded"])
@pytest.mark.parametrize("kind", ALONE)
def test_chunks_of_a_lone_population_write_to_one_array(kind, lengths):
    """Forward and backward, the same bits as in one chunk; what comes in stays as it is."""
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((30, 7, 37)).astype(np.float32) for _ in range(2))
    lengths = None if lengths is None else np.array(lengths)

    def everything(chunk):
        net, given, gradient = ALONE[kind](chunk), x.copy(), dy.copy()
        y, _, tape = net.forward(given, lengths=lengths)
        kept = y.copy()
        _, dstate, dx = net.backward(tape, gradient, want_dx=True)
        _, _, tape = net.forward(given, lengths=lengths)
        dhidden = {list(net.layers)[-1]: {net._last.output: gradient}}
        _, _, hidden = net.backward(tape, gradient, dhidden=dhidden, want_dx=True)
        last, _, seen = net.run(given, lengths=lengths, record="rate")
        assert (given == x).all() and (gradient == dy).all() and (kept == y).all()
        found = [y, dx, hidden, last, net.run(given, lengths=lengths)[0]]
        for state in dstate.values():
            found += state or ()
        return found + [recorded["rate"] for recorded in seen.values()]

    want = everything(7)
    assert np.abs(want[1]).max() > 0 and (want[0] != 0).any()
    for chunk in (1, 2, 3):
        for a, b in zip(want, everything(chunk), strict=True):
            assert a.tobytes() == b.tobytes()


LAYOUTS = {
    "columns": np.asfortranarray,
    "batch first": lambda a: np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2),
    "every second": lambda a: np.repeat(a, 2, 2)[:, :, ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_input_that_lies_elsewhere_in_memory(layout):
    """A population that reads its input in place sees the same numbers, whatever their order in memory."""
    rng = np.random.default_rng(0)
    a, dy = (rng.standard_normal((30, 7, 37)).astype(np.float32) for _ in range(2))
    x, d = LAYOUTS[layout](a), LAYOUTS[layout](dy)
    assert not x.flags.c_contiguous and np.array_equal(x, a)
    for kind in ("LIF", "recurrent"):
        for chunk in (7, 3):
            net = ALONE[kind](chunk)
            (y, _, tape), (wanted, _, other) = net.forward(x), net.forward(a)
            assert np.array_equal(y, wanted) and np.array_equal(net.run(x)[0], wanted)
            dx, wanted = net.backward(tape, d, want_dx=True)[2], net.backward(other, dy, want_dx=True)[2]
            assert np.array_equal(dx, wanted)

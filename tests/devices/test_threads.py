"""Threads and processes: who asks for how many, at the same time; the same bits from all of them."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from scripts import environment_of

import numsnn as ns
from numsnn.devices import threads
from numsnn.devices.cpu import blas

ENOUGH = 1 << 20        # work that is worth threads


@pytest.fixture(autouse=True)
def number():
    ns.set_num_threads(3)
    yield
    threads._threads = None
    threads._close_pool()


def in_time(work, *arguments):
    """What work gives, in a thread that must not hang."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work, *arguments).result(timeout=60)
    finally:
        pool.shutdown(wait=False)


def test_the_number_may_change_while_others_run():
    done = []

    def runs():
        for _ in range(200):
            threads.run(done.append, 8, ENOUGH)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(runs) for _ in range(3)]
        while not all(r.done() for r in running):
            for n in (2, 4, 3):
                ns.set_num_threads(n)
        for r in running:
            r.result()
    assert len(done) == 3 * 200 * 8 and ns.get_num_threads() == 3


def test_a_task_may_run_tasks():
    def outer(c):
        threads.run(done.append, 4, ENOUGH)

    done = []
    in_time(threads.run, outer, 6, ENOUGH)
    assert len(done) == 24


def test_an_error_comes_when_no_task_runs_any_more():
    running, failed = set(), threading.Event()

    def task(c):
        running.add(c)
        if c == 0:
            failed.set()
            raise ValueError("the first one")
        failed.wait(30)
        running.discard(c)

    with pytest.raises(ValueError, match="the first one"):
        in_time(threads.run, task, 3, ENOUGH)
    assert running == {0}


def test_two_threads_with_a_limit_each():
    """One sets its limit first and lifts it first, too: nothing of it stays, and nobody else has it."""
    first, second, lifted = threading.Event(), threading.Event(), threading.Event()

    def one():
        with threads.limited(1):
            first.set()
            assert second.wait(30) and ns.get_num_threads() == 1
        lifted.set()
        return ns.get_num_threads()

    def other():
        first.wait(30)
        with threads.limited(2):
            second.set()
            assert lifted.wait(30)
            with threads.limited(9):
                assert ns.get_num_threads() == 2
            return ns.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(one), pool.submit(other)]
        assert first.wait(30) and ns.get_num_threads() == 3
        assert [f.result(60) for f in found] == [3, 2]
    assert ns.get_num_threads() == 3


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "2", None])
def test_wrong_numbers(n):
    with pytest.raises(ValueError, match="the number of threads must be a positive integer; got"):
        ns.set_num_threads(n)
    assert ns.get_num_threads() == 3


def test_the_environment(monkeypatch):
    threads._threads = None
    for text in ("two", "0", "-1", "1.5", "\u00b2"):
        monkeypatch.setenv("NUMSNN_NUM_THREADS", text)
        with pytest.raises(ValueError, match="NUMSNN_NUM_THREADS must be a positive integer; got"):
            ns.get_num_threads()
    monkeypatch.delenv("NUMSNN_NUM_THREADS")
    for text, n in (("", ns.get_num_threads()), (" 5 ", 5)):
        monkeypatch.setenv("NUMSNN_NUM_THREADS", text)
        assert ns.get_num_threads() == n


def test_blas_gets_its_threads_back():
    """Two trainings at once: the one that began first ends first."""
    get, set_ = blas._switch()
    before = get()
    set_(2)
    try:
        first, second = blas.one_thread(), blas.one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert get() == 1
        second.__exit__(None, None, None)
        assert get() == 2
    finally:
        set_(before)


def test_an_error_ahead_leaves_nothing_open():
    class Resource:
        closed = False

        def __del__(self):
            Resource.closed = True

    def made():
        resource = Resource()
        yield 1
        raise ValueError(f"no more {type(resource).__name__}")

    def use():
        with pytest.raises(ValueError, match="no more"):
            list(threads.ahead(made(), 2))

    use()
    assert Resource.closed


PROCESSES = """
import multiprocessing, threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
import numpy as np, numsnn as ns
from numsnn.devices import threads
from numsnn.devices.cpu import blas

def of_blas():
    return blas._switch()[0]()

def hold():                                         # somebody holds all locks while the process forks
    with threads._lock, blas.one_thread():
        held.set()
        go.wait(300)

if __name__ == "__main__":
    before = of_blas()
    ns.set_num_threads(2)
    net = ns.Network(ns.Dense(4, 8), ns.ALIF(8, recurrent="v"), ns.Dense(8, 3), ns.LI(3), chunk=4)
    x = np.random.default_rng(0).normal(0, 3, (400, 16, 4)).astype(np.float32)
    right = net.run(x)[0].tobytes()                 # the threads of this process are there
    assert threads._pool is not None
    with ThreadPoolExecutor(4) as pool:
        assert all(f[0].tobytes() == right for f in pool.map(net.run, [x] * 8))
    held, go = threading.Event(), threading.Event()
    threading.Thread(target=hold, daemon=True).start()
    held.wait(60)
    for start in ("fork", "spawn", "forkserver"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start)) as pool:
            y, state = pool.submit(net.run, x).result(timeout=120)
            assert y.tobytes() == right, start
            assert state["alif0"]._fields == net.initial_state(1)["alif0"]._fields
            assert pool.submit(of_blas).result(timeout=60) == before, start
    go.set()
    print("the same")
"""


def test_processes_give_the_same_bytes(tmp_path):
    """Fork, spawn and forkserver, while threads run here."""
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    done = subprocess.run([sys.executable, script], env=environment_of(), capture_output=True, text=True,
                          timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "the same\n"), done.stderr

"""The ranks of an MPI communicator, through mpi4py.

Every exchange is of NumPy buffers; nothing is pickled.  Importing this file does not import mpi4py.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import devices
from ..devices import threads
from ..packages import needed
from . import agreement
from .alone import ALONE, SUMS, RankError, Ranks

GRACE = 2.0         # seconds in which the other ranks may fail, too, before they are ended

_key: list[int] = []        # under which a communicator keeps its ranks as long as it lives


def over(comm: Any, sums: str = "exact") -> Ranks:
    """The ranks of an mpi4py communicator, ALONE for None; what is Ranks already stays.

    sums: "exact", gradients are added in the order of chunks, the same bytes for any number of ranks; "fast",
    each rank adds its own chunks first, and one Allreduce does the rest: the same bytes for the same number.
    """
    if not isinstance(sums, str) or sums not in SUMS:
        raise ValueError(f"sums must be 'exact' or 'fast'; got {sums!r}")
    if comm is None:
        return ALONE
    if isinstance(comm, Ranks):
        return comm
    mpi = sys.modules.get("mpi4py.MPI")         # who has a communicator has imported it
    if mpi is None or not isinstance(comm, mpi.Intracomm):
        raise TypeError(f"comm must be a communicator of mpi4py, such as MPI.COMM_WORLD, or None; "
                        f"got {comm!r}")
    if not _key:
        _key.append(mpi.Comm.Create_keyval())
    known = comm.Get_attr(_key[0])
    if known is None:
        known = {}
        comm.Set_attr(_key[0], known)
    if sums not in known:
        known[sums] = OverMPI(comm, sums)
    return known[sums]


def world(sums: str = "exact") -> Ranks:
    """All processes that mpiexec started; an ImportError says what is missing."""
    return over(library("--mpi").COMM_WORLD, sums)


def library(what: str) -> Any:
    """mpi4py.MPI; an ImportError that says what needs it, and what is missing."""
    try:
        return needed("mpi4py.MPI", what)
    except RuntimeError as error:               # mpi4py is there, and finds no library to load
        raise ImportError(f"{what} needs an MPI library, and mpi4py finds none ({error}); "
                          f"install MPICH or Open MPI: pip install mpich") from error


class OverMPI(Ranks):
    """The processes of a communicator; see Ranks.

    A node's cores are shared out among its ranks, where nobody has said how many threads there are.
    """

    def __init__(self, comm: Any, sums: str):
        self._comm = comm.Dup()                 # what others send meets nothing of ours
        self._aside = comm.Dup()                # of ranks that fail
        self._mpi = sys.modules["mpi4py.MPI"]
        self._rooms: dict[str, np.ndarray] = {}
        self.rank, self.size, self.sums = comm.rank, comm.size, sums
        node = comm.Split_type(self._mpi.COMM_TYPE_SHARED)
        self.place, self.beside = node.rank, node.size      # on this node
        _share_cores(node)
        node.Free()

    # ---- arrays

    def joined(self, a: np.ndarray, axis: int = 0) -> np.ndarray:
        a = np.ascontiguousarray(np.moveaxis(a, axis, 0))
        n = np.empty(self.size, np.int64)
        self._comm.Allgather(np.array([len(a)], np.int64), n)
        whole = np.empty((int(n.sum()), *a.shape[1:]), a.dtype)
        row = a.dtype.itemsize * int(np.prod(a.shape[1:], dtype=np.int64))
        self._comm.Allgatherv(_bytes(a), [_bytes(whole), n * row])
        return np.ascontiguousarray(np.moveaxis(whole, 0, axis))

    def gradients(self, chunks: int, parts: Sequence[Mapping[str, np.ndarray]], losses: Sequence[float],
                  params: Mapping[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
        ends = np.cumsum([0, *(p.size for p in params.values())]).tolist()
        places = {name: slice(*two) for name, two in zip(params, itertools.pairwise(ends), strict=True)}
        kind = next((p.dtype for p in params.values()), np.dtype(np.float64))
        add = self._in_order if self.sums == "exact" else self._reduced
        loss, flat = add(chunks, parts, losses, (places, ends[-1], kind))
        return loss, {name: flat[places[name]].reshape(p.shape).copy() for name, p in params.items()}

    def _in_order(self, chunks, parts, losses, layout):
        """Each rank gets its slice of the parameters from all chunks, adds it in their order, and hands it
        round.  The loss of a chunk travels at the end of its slice."""
        places, size, kind = layout
        tail = 8 // kind.itemsize
        slices = [self.share_of(r, size) for r in range(self.size)]
        own = self._room("own", len(parts) * size, kind).reshape(len(parts), size)
        for row, part in zip(own, parts, strict=True):
            for name, place in places.items():
                row[place] = np.asarray(part[name]).reshape(-1)
        counts = [last - first for first, last in (self.share_of(r, chunks) for r in range(self.size))]
        widths = [last - first + tail for first, last in slices]
        mine = widths[self.rank]
        sent = self._room("sent", len(parts) * sum(widths), kind)
        told = np.array(losses, np.float64).view(kind).reshape(len(parts), tail)
        for block, (first, last) in zip(_blocks(sent, len(parts), widths), slices, strict=True):
            block[:, :last - first] = own[:, first:last]
            block[:, last - first:] = told
        got = self._room("got", chunks * mine, kind)
        self._comm.Alltoallv([_bytes(sent), [len(parts) * w * kind.itemsize for w in widths]],
                             [_bytes(got), [n * mine * kind.itemsize for n in counts]])
        rows = got.reshape(chunks, mine)
        total = rows[0, :-tail].copy()
        for row in rows[1:]:
            total += row[:-tail]
        flat = self._room("flat", size, kind)
        self._comm.Allgatherv(_bytes(total), [_bytes(flat), [(w - tail) * kind.itemsize for w in widths]])
        return sum(rows[:, -tail:].copy().view(np.float64)[:, 0].tolist()), flat

    def _reduced(self, chunks, parts, losses, layout):
        """One Allreduce; the loss travels as two numbers of the gradients' precision."""
        places, size, kind = layout
        flat = self._room("flat", size + 2, kind)
        flat[...] = 0
        for part in parts:
            for name, place in places.items():
                flat[place] += np.asarray(part[name]).reshape(-1)
        loss = sum(losses)
        flat[-2] = loss
        flat[-1] = loss - float(flat[-2])
        self._comm.Allreduce(self._mpi.IN_PLACE, flat)
        return float(flat[-2]) + float(flat[-1]), flat

    def _room(self, what, size, kind):
        """An array for an exchange, kept for the next one: new memory costs more than what is done in it."""
        if what not in self._rooms or self._rooms[what].dtype != kind or self._rooms[what].size < size:
            self._rooms[what] = np.empty(size, kind)
        return self._rooms[what][:size]

    # ---- words

    def texts(self, text: str) -> list[str]:
        words = np.frombuffer(text.encode(), np.uint8)
        n = np.empty(self.size, np.int64)
        self._comm.Allgather(np.array([words.size], np.int64), n)
        whole = np.empty(int(n.sum()), np.uint8)
        self._comm.Allgatherv(words, [whole, n])
        return [part.tobytes().decode() for part in np.split(whole, np.cumsum(n)[:-1])]

    def agree(self, facts: Mapping[str, Any]) -> None:
        own = np.frombuffer(b"".join(map(agreement.digest, facts.values())), np.uint8)
        of_ranks = np.empty((self.size, len(facts), agreement.SIZE), np.uint8)
        self._comm.Allgather(own, of_ranks)
        told = agreement.differences(list(facts), of_ranks)
        if told:
            raise ValueError(f"{'; '.join(told)}; all ranks must be started alike")

    def from_root(self, data: bytes | None) -> bytes | None:
        n = np.array([-1 if data is None else len(data)], np.int64)
        self._comm.Bcast(n)
        if n[0] < 0:
            return None
        whole = np.frombuffer(data, np.uint8).copy() if self.root and data else np.empty(int(n[0]), np.uint8)
        self._comm.Bcast(whole)
        return whole.tobytes()

    def on_root(self, task: Callable[[], Any]) -> Any:
        result, error = None, None
        if self.root:
            try:
                result = task()
            except Exception as raised:     # noqa: BLE001  it is raised again, on all ranks
                error = raised
        told = self.from_root(None if error is None else f"{error or type(error).__name__}".encode())
        if error is not None:
            raise error
        if told is not None:
            raise RankError(f"rank 0: {told.decode()}")
        return result

    # ---- devices

    def take_gpu(self, device: str = "cuda") -> None:
        devices.take_gpu(self.place, device)

    def on_own_gpu(self) -> bool:
        current, there = devices.get("cuda").gpu()
        return current == self.place % there

    # ---- failing

    @contextmanager
    def guarded(self, brief: bool = False) -> Iterator[Ranks]:
        try:
            yield self
        except BaseException as error:
            if not self._all_failed():
                _say(self, error, brief)
                self._comm.Abort(1)
            raise

    def _all_failed(self):
        """Whether all ranks come here within the time of grace."""
        request, until = self._aside.Ibarrier(), time.monotonic() + GRACE
        while not request.Test():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


def _say(ranks, error, brief):
    """What went wrong, as the last words of a process."""
    if not brief:
        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    print(f"numsnn: rank {ranks.rank} of {ranks.size} failed, and all ranks end: {what}",
          file=sys.stderr, flush=True)


def _bytes(a):
    """A contiguous array as bytes, where it lies."""
    return a.reshape(-1).view(np.uint8) if a.size else np.empty(0, np.uint8)


def _blocks(sent, n, widths):
    """What goes to each rank: (n, its width)."""
    ends = np.cumsum([0, *(n * w for w in widths)]).tolist()
    return [sent[a:b].reshape(n, w) for (a, b), w in zip(itertools.pairwise(ends), widths, strict=True)]


def _share_cores(node):
    """Threads: a rank's share of the cores that the ranks of its node have together.

    Where the launcher has bound each to cores of its own these are its share already.
    """
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    of_ranks = np.empty((node.size, agreement.SIZE), np.uint8)
    node.Allgather(np.frombuffer(agreement.digest(sorted(mine)), np.uint8), of_ranks)
    alike = int((of_ranks == of_ranks[node.rank]).all(1).sum())
    if not threads.was_said():
        threads.set_num_threads(max(1, len(mine) // alike))

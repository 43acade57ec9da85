"""What a calibration shows of a program: ranges for integers, activity for counts of operations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..signals.spikes import Spikes
from .expression import Value
from .float_run import FloatRun
from .integers import Ranges
from .program import Array, Map, Program

SEQUENCES = 256         # of a calibration, as many as are looked at


class Measured(NamedTuple):
    """ranges: for integers.  active: of each array, how many elements are not 0, on average over writes."""
    ranges: Ranges
    active: dict[Array, float]
    steps: int


def inputs(net: Any, data: Any) -> tuple[np.ndarray, Any, Any, Any]:
    """(x (T, B, N) as numbers, lengths, labels, mask) of a Dataset, or of an array or Spikes."""
    labels = lengths = mask = None
    if hasattr(data, "batches"):
        if not len(data):
            raise ValueError("the calibration data are empty")
        batch = next(iter(data.batches(min(SEQUENCES, len(data)))))
        data, lengths, labels, mask = batch.x, batch.lengths, batch.y, batch.mask
    x = as_numbers(net, data)
    if not x.size:
        raise ValueError("the calibration data are empty")
    return x[:, :SEQUENCES], lengths, labels, mask


def as_numbers(net: Any, x: Any) -> np.ndarray:
    """What a network takes as an array (T, B, N) of float32, tokens as (T, B, 1); checked by its door."""
    first = next(iter(net.layers.values()))
    if first.reads_tokens and not isinstance(x, Spikes):
        net._input(x)
        return np.asarray(x, np.float32).reshape(*np.shape(x)[:2], 1)
    x = net._input(x)
    return x.dense() if isinstance(x, Spikes) else np.asarray(x, np.float32)


def measure(program: Program, x: np.ndarray, lengths: np.ndarray | None = None) -> Measured:
    """Run a program on sequences (T, B, N) and note what occurs in valid steps."""
    largest: dict[Array, float] = {}
    ranges: dict[Value, tuple[float, float]] = {}
    active: dict[Array, np.ndarray] = {}                # (numbers that are not 0, sequences)
    traces = [operation.trace for operation in program.flat() if isinstance(operation, Map)]
    values = [value for trace in traces for value in trace.values]
    needed = {value.args[0] for value in values if value.op.startswith("call:")}
    valid: Any = slice(None)

    def watch(what: Array | Value, holds: Any) -> None:
        if isinstance(what, Array):
            seen = np.abs(holds[valid])
            largest[what] = max(largest.get(what, 0.0), float(seen.max(initial=0.0)))
            active[what] = active.get(what, 0) + np.array([np.count_nonzero(seen), len(seen)])
        elif what in needed:
            low, high = ranges.get(what, (np.inf, -np.inf))
            ranges[what] = min(low, float(np.min(holds))), max(high, float(np.max(holds)))

    run = FloatRun(program, x.shape[1], watch)
    for t, now in enumerate(x):
        if lengths is not None:
            valid = t < lengths
        watch(program.input, now)
        run.step(now)
    whole = bool((x == np.rint(x)).all() and x.min() >= 0 and x.max() <= 255)
    means = {array: float(n / max(sequences, 1)) for array, (n, sequences) in active.items()}
    return Measured(Ranges(largest, ranges, whole), means, len(x))

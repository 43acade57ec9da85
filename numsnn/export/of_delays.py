"""What delays are made of: of features, of synapses, and in a recurrence."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from .. import layers as kinds
from .expression import Trace
from .lowering import ExportError, lowers
from .program import Copy, Lagged, Read

DELAYS = 64         # different ones of a layer, each of which is an operation on every feature


@lowers(kinds.Delay)
def _delay(lowering, name, layer, sources):
    shift = layer.shift()
    if shift is None:
        refuse_spread(lowering)
    return late(lowering, name, sources[0], shift)


def late(lowering, name, x, shift):
    """Features of x, each as it was `shift` steps ago.

    The past of all of them, as long as the longest delay needs, and x behind it: y is read from there.
    """
    n, lengths = x.n, np.unique(shift).tolist()
    longest = lengths[-1]
    if not longest:
        return x
    if len(lengths) > DELAYS:
        raise ExportError(f"layer {lowering.layer}: {len(lengths)} different delays cannot be exported; "
                          f"up to {DELAYS} can")
    past = lowering.state(f"{name}_past", np.zeros(longest * n), x.binary)
    whole = lowering.array(f"{name}_whole", (longest + 1) * n, binary=x.binary)
    y = lowering.array(name, n, binary=x.binary)
    past.like = whole.like = y.like = x
    lowering.do(Copy(whole, past))
    lowering.do(Copy(whole, x, longest * n))
    trace = Trace()
    value = trace.input(Read(whole))
    for d in reversed(lengths[:-1]):
        shorter = lowering.number(trace, f"{name}_at_most_{d}", shift <= d)
        value = trace.where(shorter, trace.input(Read(whole, (longest - d) * n)), value)
    lowering.map(n, trace, (y, value))
    trace = Trace()
    lowering.map(longest * n, trace, (past, trace.input(Read(whole, n))))
    return y


@lowers(kinds.DelayedDense)
def _delayed_dense(lowering, name, layer, sources):
    lagged, n = layer.prepare(None), layer.n_out
    if lagged.lag is None:
        refuse_spread(lowering)
    sums = arriving(lowering, name, lagged, sources[0])
    y, trace = lowering.array(name, n), Trace()
    lowering.map(n, trace, (y, trace.input(Read(sums)) + lowering.number(trace, f"{name}_bias", lagged.bias)))
    return y


def arriving(lowering, name, lagged, x):
    """What whole delays of synapses bring to this step, in front of what later steps get.

    What is on its way is a state; each synapse takes one addition.
    """
    longest, (kernels, _, n) = int(lagged.lag.max()), lagged.lag.shape
    sums = lowering.array(f"{name}_sums", (longest + 1) * n)
    coming = lowering.state(f"{name}_coming", np.zeros(longest * n)) if longest else None
    weight = lowering.constant(f"{name}_weight", _by_input(lagged.weight))
    lag = lowering.place(f"{name}_lag", _by_input(lagged.lag))
    lowering.do(Lagged(sums, x, weight, lag, coming, n, kernels))
    if coming is not None:
        trace = Trace()
        lowering.map(longest * n, trace, (coming, trace.input(Read(sums, n))))
    return sums


def refuse_spread(lowering) -> NoReturn:
    raise ExportError(f"layer {lowering.layer}: delays that are not whole steps cannot be exported; "
                      f"net.round_delays() makes them whole")


def _by_input(a):
    """(n_in kernels, n_out) of (kernels, n_in, n_out)."""
    return np.ascontiguousarray(a.swapaxes(0, 1)).reshape(-1, a.shape[2])


__all__ = ["arriving", "late", "refuse_spread"]

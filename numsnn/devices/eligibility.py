"""What the devices' loops over eligibility traces have in common; the rules that use them are numsnn.rules.

The state s of a neuron (C numbers), the current I it gets and a parameter p that it has, or that the synapses
before it have, give in one step

    eps_t = (d s_t / d s_{t-1}) eps_{t-1} + (d s_t / d I_t) x_t          eps = d s / d p, (C,)
    e_t   = (d y_t / d s_{t-1}) eps_{t-1} + (d y_t / d I_t) x_t          y: what the neuron hands out
    f_t   = kappa f_{t-1} + e_t
    g_t   = keep g_{t-1} + L_t f_t                                       L: the learning signal

of a synapse whose input is x; of a coefficient p of the model d s_t / d p stands in place of (d s_t / d I_t)
x_t, and so for y.  The derivatives are those of one step with everything else held fixed.  They are taken by
unit vectors, one for each component of the state and one for y, through the model's own `step_adjoint`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..neurons import Model
from .contract import Start, with_fields

EVEN = 8            # numbers: traces of a row are as wide as so many fill them


class Eligible(NamedTuple):
    """Traces of a batch, changed in place.

    Rows are the K inputs of each current of the model's Inputs, current by current, then the coefficients
    that are learned; P: N neurons, and zeros up to a multiple of EVEN.
    """
    state: tuple[np.ndarray, ...]   # eps, one (B, R, P) for each of the C components
    out: np.ndarray                 # f (B, R, P)
    sums: np.ndarray                # g (B, R, P)
    space: dict                     # what a device keeps from call to call, such as working space

    @classmethod
    def zeros(cls, batch: int, rows: int, components: int, units: int, dtype: DTypeLike) -> Eligible:
        wide = -(-units // EVEN) * EVEN
        *state, out, sums = (np.zeros((batch, rows, wide), dtype) for _ in range(components + 2))
        return cls(tuple(state), out, sums, {})

    def clear(self) -> None:
        """All of them are 0."""
        for traces in (*self.state, self.out, self.sums):
            traces[:] = 0


class Passed(NamedTuple):
    """What a population did in a few steps; its arrays may be written over by the next ones of its traces."""
    start: Start
    output: str                 # the field of Out that it hands out
    current: Any                # Inputs of S B N numbers, in a shape of the device's: the total currents
    states: Any                 # State of S B N numbers: before each step
    out: Any                    # Out of S B N numbers or None: what it handed out and what recurred
    state: Any                  # State of arrays (B, N), after the last step
    last: np.ndarray | None     # (B, N): what recurred last


class Factors(NamedTuple):
    """The numbers of the equations above."""
    kappa: float
    keep: float


def units_of(model: Model, output: str, dtype: DTypeLike) -> tuple[Any, Any]:
    """(Out, State) of arrays (C + 1,): the unit vectors, that of `output` the last."""
    n = len(model.State._fields)
    one = np.eye(n + 1, dtype=dtype)
    out = with_fields(model.Out, model.Out._fields,
                      lambda name: one[n].copy() if name == output else np.zeros(n + 1, dtype))
    return out, model.State(*(one[c].copy() for c in range(n)))

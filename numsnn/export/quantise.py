"""`quantise`: a network in whole numbers, and the report of what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked
from ..network.network import Network
from ..signals.spikes import Spikes
from .integers import IntegerProgram
from .lowering import ExportError, lower
from .measure import as_numbers, inputs, measure
from .program import Array
from .report import Report, report
from .whole_run import IntegerRun


class IntegerNetwork:
    """A network whose every number is whole: the twin in NumPy of the C that `ns.export_c` writes.

    `run`, `step`, `ns.evaluate` and `ns.predict` take it as they take the network that it was made of; what
    it hands out are the whole numbers of the last layer in its unit, so that they compare with the
    network's.

    net: the network in floats.  report: bytes, operations, saturations, agreement on the calibration data.
    """

    def __init__(self, net: Network, integers: IntegerProgram, found: Report):
        self.net = net
        self.integers = integers
        self.report = found

    @property
    def layers(self) -> dict[str, Any]:
        """The layers of the network that it was made of."""
        return self.net.layers

    def run(self, x: ArrayLike | Spikes, state: dict[str, np.ndarray] | None = None, *,
            lengths: ArrayLike | None = None, record: Any = None) -> tuple:
        """(y, state), as `Network.run`: x (T, B, N), y (T, B, M), or (B, M) where the answer is over time.

        state: what an earlier run returned, whole numbers by array.  record: nothing can be recorded, and
        nothing is (a third result, empty, where it is given).
        """
        numbers = as_numbers(self.net, x)
        if not len(numbers):
            raise ValueError("a run in whole numbers needs at least one step; got a sequence of none")
        run = self._begun(numbers.shape[1], state)
        y = self._through(run, numbers, lengths)
        after = {array.name: values for array, values in self._kept(run).items()}
        return (y, after) if record is None else (y, after, {})

    def _through(self, run: IntegerRun, numbers: np.ndarray, lengths: ArrayLike | None = None) -> np.ndarray:
        """What a run hands out for (T, B, N); it is left where the sequences end."""
        ends: Any = self.net._lengths(lengths, numbers)
        answers: list[np.ndarray] = []
        for t, now in enumerate(numbers):
            before = None if ends is None else self._kept(run)
            run.step(self.whole(now))
            turns = [self._answer(q, run) for q in run.turns]
            if before is not None:
                over = t >= ends
                for array, values in before.items():
                    run.values[array][over] = values[over]
                stays = answers and not self.net._last.answers_each_step
                for answer in turns:
                    answer[over] = answers[-1][over] if stays else 0
            answers += turns
        y = np.stack(answers) if self.net._last.answers_each_step else answers[-1]
        return self.net._shaped(y, self.net._last)

    def step(self, x: ArrayLike | Spikes, state: dict[str, np.ndarray] | None = None) -> tuple:
        """One time step of inference, (y, state): x is (B, N)."""
        y, state = self.run(self.net._one_step(x), state)
        return (y[-1] if self.net._last.answers_each_step else y), state

    def whole(self, x: np.ndarray) -> np.ndarray:
        """Inputs as the whole numbers that the C takes: round(x 2^fraction), saturated."""
        kind = self.integers.format(self.integers.program.input)
        return np.clip(np.rint(x * 2.0 ** kind.fraction), kind.low, kind.high).astype(np.int64)

    def _answer(self, q, run):
        """The output in its unit."""
        program = self.integers.program
        y = q / 2.0 ** self.integers.format(program.output).fraction
        if program.mean_of is not None:
            y = y / np.maximum(run.values[program.mean_of.steps] - program.mean_of.start, 1)
        return y.astype(np.float32)

    def _begun(self, batch, state):
        run = IntegerRun(self.integers, batch)
        if state is None:
            return run
        for array, values in self._kept(run).items():
            kind = self.integers.format(array)
            given = np.asarray(state.get(array.name) if isinstance(state, Mapping) else None)
            fits = given.shape == values.shape and given.dtype.kind in "iu"
            if not fits or given.size and not kind.low <= given.min() <= given.max() <= kind.high:
                raise ValueError(f"state: {array.name} must hold whole numbers of shape {values.shape} in "
                                 f"{kind.low} ... {kind.high}; pass what run or step of this network "
                                 f"returned")
            run.values[array] = given.astype(values.dtype)
        return run

    @staticmethod
    def _kept(run) -> dict[Array, np.ndarray]:
        kept = ("state", "count")
        return {array: values.copy() for array, values in run.values.items() if array.kind in kept}

    def summary(self) -> str:
        """The report as a table."""
        return str(self.report)

    def __repr__(self) -> str:
        i = self.integers
        return f"IntegerNetwork(weights of {i.bits} bits, states of {i.states} bits, of\n{self.net!r})"


@checked
def quantise(net: Network, calibration: Any, *, weights: int = 8, states: int = 16,
             headroom: float = 2.0) -> IntegerNetwork:
    """A trained network in whole numbers: weights of `weights` bits, states of `states` bits.

    The arithmetic is that of the neuron's one definition, taken apart and done with whole numbers of fixed
    fraction bits: a weight is q 2^-shift with one shift for each output neuron (one for all where synapses
    have delays), sums are of 32 bits, decays have 15 bits, functions such as the soft-max's exp are tables;
    what does not fit is saturated where it is stored, and counted.

    calibration: a Dataset, or an array or Spikes (T, B, N), on which ranges are measured (up to 256
    sequences).  weights: 4 to 16.  states: 8 to 16, or 32 (sums are then of 64 bits).  headroom: how much
    larger than what was measured values may get before they saturate, at least 1.

    ExportError where a layer has no such form; ValueError where a range does not fit.
    """
    for what, bits, allowed in (("weights", weights, range(4, 17)), ("states", states, (*range(8, 17), 32))):
        if not isinstance(bits, (int, np.integer)) or isinstance(bits, bool) or bits not in allowed:
            raise ValueError(f"{what} must be a number of bits, {allowed[0]} to 16"
                             f"{' or 32' if what == 'states' else ''}; got {bits!r}")
    is_number = isinstance(headroom, (int, float, np.number)) and not isinstance(headroom, bool)
    if not is_number or not 1 <= headroom < 1024:
        raise ValueError(f"headroom must be a factor from 1 on; got {headroom!r}")
    check_finite(net)
    x, lengths, labels, mask = inputs(net, calibration)
    program = lower(net)
    measured = measure(program, x, lengths)
    try:
        integers = IntegerProgram(program, measured.ranges, weights=weights, states=states, headroom=headroom)
    except TypeError as error:
        raise ExportError(str(error)) from error
    made = IntegerNetwork(net, integers, Report())
    made.report = report(made, measured, x, lengths, labels, mask)
    return made


def check_finite(net: Network) -> None:
    """ExportError where a weight is no number."""
    for name, array in net.arrays().items():
        if not np.isfinite(array).all():
            raise ExportError(f"{name} holds numbers that are not finite; "
                              f"train the network again, or restore it")

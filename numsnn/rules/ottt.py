"""`OTTT` and `SLTT`: gradients within a step, with or without a trace of what came in before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..checked import checked
from ..devices.eligibility import Factors
from ..loss import Loss
from ..network.network import Network
from .column import Column
from .online import Online, through

ONCE = Factors(kappa=0.0, keep=1.0)


class OTTT(Online):
    """Online training through time: a trace for each input, the gradient of a step for each neuron.

        a_t = lambda a_{t-1} + x_t                      x: what comes into a layer, with 1 for the bias
        dE / dW = sum_t a_t^T g_t                       g_t = dE_t / dI_t, through the layers of step t only

    lambda is what a neuron's membrane keeps of a step, d v_t / d v_{t-1} at rest, the same for all neurons of
    a population.  The reset's part in it is left out: traces then depend on the inputs only, B K numbers of a
    layer with K inputs, where e-prop keeps B K C N.  Settings that are learned have e-prop's traces, one for
    each neuron.

    It is the gradient of BPTT for a population that resets nothing (reset="none") and a loss that sees what
    it hands out in each step.

    net: a stack of Dense layers and populations with a membrane `v` and one current (LIF, ALIF, PLIF, LI
    ...), with an answer at each step.  loss, batch, rng: as of EProp.
    ValueError, naming the layer, where it cannot serve one.
    Source: Xiao et al. 2022, "Online training through time for spiking neural networks" (OTTT_A; there the
    bias has no trace).
    """

    by_synapse, at_end = False, False

    @checked
    def __init__(self, net: Network, loss: Loss | Callable | None = None, *, batch: int = 1,
                 rng: np.random.Generator | None = None):
        super().__init__(net, loss, batch, rng)

    @checked
    def reset(self, state: dict | None = None, rng: np.random.Generator | None = None) -> None:
        """A new sequence begins, as of EProp."""
        super().reset(state, rng)
        for column in self.columns:
            self._check(column)
        self.traces = [np.zeros((self.batch, column.n_rows), column.dtype) for column in self.columns]
        self._forget()

    def _check(self, column: Column) -> None:
        model, rule = column.model, type(self).__name__
        if "v" not in model.State._fields or "v" not in model.Out._fields or len(model.Inputs._fields) > 1:
            raise ValueError(f'{rule} cannot serve layer {column.place.population}, '
                             f'{column.population.describe()}: it needs a membrane v and one current; '
                             f'use rule="eprop" or rule="bptt"')

    def _prepare(self):
        super()._prepare()
        self.leaks = [self._leak(column) for column in self.columns]
        self.matrices = [None if column.dense is None else np.ascontiguousarray(column.weight.T)
                         for column in self.columns]

    def _leak(self, column: Column) -> np.ndarray:
        leak = column.at_rest("v")[0]
        if np.ptp(leak) > 0:
            raise ValueError(f'{type(self).__name__}: the neurons of layer {column.place.population} leak at '
                             f'different rates, {leak.min():.4g} to {leak.max():.4g}, and their inputs have '
                             f'one trace: say shared=("tau_mem",) and one value, or use rule="eprop"')
        return leak.flat[0]

    def _learn(self, signal: np.ndarray, told: bool) -> None:
        for i in reversed(range(len(self.columns))):
            column = self.columns[i]
            error = column.learn(signal, ONCE)
            traces = self._traces(i)
            if told:
                rows = traces.reshape(-1, column.n_rows)
                self.sums[i] += rows.T @ error.reshape(len(rows), -1)
            if i > 0:
                below = self.columns[i - 1].n
                signal = through(self.net.loops, error, self.matrices[i]) if told \
                    else np.zeros((*signal.shape[:2], below), signal.dtype)

    def _traces(self, i: int) -> np.ndarray:
        """(S, B, K): the traces of the inputs of column i in each of the steps."""
        rows, trace = self.columns[i].rows, self.traces[i]
        found = np.empty_like(rows)
        for t, x in enumerate(rows):
            trace = self.leaks[i] * trace + x
            found[t] = trace
        self.traces[i] = trace
        return found

    def _gradients(self) -> dict[str, np.ndarray]:
        found = super()._gradients()
        for column, total in zip(self.columns, self.sums, strict=True):
            found |= column.of_synapses({column.model.Inputs._fields[0]: total})
        return found

    def _forget(self) -> None:
        super()._forget()
        self.sums = [np.zeros((column.n_rows, column.n), column.dtype) for column in self.columns]


class SLTT(OTTT):
    """Spatial learning through time: the gradient of each step by itself, without any trace.

        dE / dW = sum_t x_t^T g_t                       g_t = dE_t / dI_t, through the layers of step t only

    It is the gradient of BPTT truncated to one step.  Settings are not learned.

    net, loss, batch, rng: as of OTTT, with any leaks.
    Source: Meng et al. 2023, "Towards memory- and time-efficient backpropagation for training spiking neural
    networks" (SLTT without its random choice of steps).
    """

    def _check(self, column: Column) -> None:
        super()._check(column)
        if column.population.learn:
            raise ValueError(f'SLTT learns weights and biases; layer {column.place.population} learns '
                             f'{", ".join(column.population.learn)}: say learn=(), or use rule="ottt", '
                             f'"eprop" or "bptt"')

    def _leak(self, column: Column) -> np.ndarray:
        return column.dtype.type(0)

"""A column of a network: a Dense layer, if there is one, and the population after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices.contract import Start, with_fields
from ..devices.eligibility import Eligible, Factors, Passed
from ..layers import Dense, Population
from ..layers.layer import Context
from ..network.network import Network
from ..neurons.model import Functions
from .stack import Place


class Column:
    """The state and the eligibility traces of a column for a batch of samples.

    rows: what comes into each neuron in a step is (S, B, K): the n_in inputs of the Dense layer, 1 where
    there are biases, and what recurred.  by_synapse: whether each synapse has traces, or only the settings
    that are learned.
    """

    def __init__(self, net: Network, place: Place, batch: int, by_synapse: bool = True):
        self.loops, self.place, self.batch = net.loops, place, batch
        dense, population = net.layers.get(place.dense or ""), net.layers[place.population]
        assert isinstance(population, Population)
        assert dense is None or isinstance(dense, Dense)
        self.dense, self.population, self.model = dense, population, population.model
        self.dynamics, self.n, self.dtype = population.dynamics(), population.n, population.dtype
        self.n_in = dense.n_in if dense else 0
        self.biased = "recurrent_bias" in population.params or dense is not None and "bias" in dense.params
        self.n_rows = self.n_in + self.biased + (self.n if population.recur else 0)
        needed = set(population._needed)
        learned = [i for i, name in enumerate(self.model.Params._fields) if name in needed]
        self.learned = np.array(learned, np.int64)
        self.kept_rows = self.n_rows if by_synapse else 0
        rows = len(self.model.Inputs._fields) * self.kept_rows + len(learned)
        self.eligible = Eligible.zeros(batch, rows, len(self.model.State._fields), self.n, self.dtype)
        self.rows = np.ones((0, batch, self.n_rows), self.dtype)
        self.prepare()

    def prepare(self) -> None:
        """Look at the parameters."""
        self.prepared = self.population.prepare(Context(self.loops, lengths=None, tape=True))
        if self.dense is not None:
            self.weight, self.bias = self.dense.prepare(None)

    def begin(self, state: Any) -> None:
        """A new sequence, which begins with a state of the population."""
        self.state, self.last = self.population._split(state)
        self.eligible.clear()

    def at_rest(self, field: str) -> tuple[np.ndarray, np.ndarray]:
        """(d y / d v, d y / d I) of a field y of Out, by the membrane before and by the first current, (N,).

        They are taken where state and currents are 0.
        """
        model, layer, zero = self.model, self.population, np.zeros(self.n, self.dtype)
        f = Functions(layer.surrogate.spike, layer.surrogate.slope, layer.surrogate.typed(self.dtype),
                      layer.activation.value, layer.activation.slope)
        unit = with_fields(model.Out, model.Out._fields, lambda name: zero + (name == field))
        nothing = model.Inputs(*(zero for _ in model.Inputs._fields))
        state = model.State(*(zero for _ in model.State._fields))
        dinputs, dstate, _ = model.step_adjoint(nothing, state, self.prepared.coefficients, f, unit, state)
        leak = getattr(dstate, "v", zero)
        return np.broadcast_to(leak, self.n), np.broadcast_to(dinputs[0], self.n)

    # ---- steps

    def forward(self, x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """What the population hands out, (S, B, N), of x (S, B, n_in)."""
        layer, recur = self.population, self.population.recur
        rows = self._rows_of(x)
        recurring = rows[:, :, self.n_rows - self.n:]
        if recur:
            recurring[0] = self.last        # now: the device may write over what it is given
        currents = x.copy() if self.dense is None else self.loops.dense_forward(x, self.weight, self.bias)
        start = Start(self.prepared.coefficients, self.state, self.last, lengths)
        self.passed: Passed = self.loops.eligibility_forward(
            self.dynamics, layer._currents(currents, self.loops), start, self.prepared.recurrent,
            layer.output, self.eligible)
        if recur:
            recurring[1:] = getattr(self.passed.out, recur).reshape(recurring.shape)[:-1]
        self.state, self.last = self.passed.state, self.passed.last
        return getattr(self.passed.out, layer.output).reshape(*rows.shape[:2], self.n).copy()

    def _rows_of(self, x):
        """What comes into the neurons, (S, B, K), but for what recurs."""
        if len(self.rows) != len(x):
            self.rows = np.ones((len(x), self.batch, self.n_rows), self.dtype)
        self.rows[:, :, :self.n_in] = x if self.dense is not None else 0
        return self.rows

    def learn(self, signal: np.ndarray, factors: Factors) -> np.ndarray:
        """Bring the traces to the end of the steps that went forward.

        signal: (S, B, N), the gradient of the loss by what the population handed out.  The gradient by what
        came in, in the same step, (S, B, G N).
        """
        rows = self.rows[:, :, :self.kept_rows]
        through = self.loops.eligibility_step(self.dynamics, self.passed, rows, signal, self.learned, factors,
                                              self.eligible)
        return self.loops.beside([getattr(through, name) for name in self.model.feedforward])

    # ---- gradients

    def gradients(self, signal: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The gradients by name in net.params, from the sums of the traces.

        signal: (B, N), with which those of a sample are taken; None: they have been.
        """
        sums = self.eligible.sums[:, :, :self.n]
        total = (sums if signal is None else sums * signal[:, None]).sum(0)
        inputs = self.model.Inputs._fields
        n_synapses = len(inputs) * self.kept_rows
        of_inputs = dict(zip(inputs, total[:n_synapses].reshape(len(inputs), self.kept_rows, self.n),
                             strict=True))
        grads = self.of_synapses(of_inputs) if self.kept_rows else {}
        fields = self.model.Params._fields
        of_coefficients = {fields[i]: total[n_synapses + q] for q, i in enumerate(self.learned)}
        dparams = with_fields(self.model.Params, of_coefficients, of_coefficients.__getitem__)
        settings = self.population._settings_gradient(dparams, self.prepared.settings, self.loops)
        return grads | {f"{self.place.population}.{name}": d for name, d in settings.items()}

    def of_synapses(self, by_input: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Gradients of weights and biases from those (K, N) of the rows of each current."""
        fed = np.concatenate([by_input[name] for name in self.model.feedforward], 1)
        back = np.concatenate([by_input[name] for name in self.model.recurrent], 1)
        found = {}
        if self.dense is not None:
            found[f"{self.place.dense}.weight"] = fed[:self.n_in]
            if "bias" in self.dense.params:
                found[f"{self.place.dense}.bias"] = fed[self.n_in]
        if self.population.recur:
            found[f"{self.place.population}.recurrent"] = back[self.n_rows - self.n:]
            if "recurrent_bias" in self.population.params:
                found[f"{self.place.population}.recurrent_bias"] = back[self.n_in]
        return found

    def forget(self) -> None:
        """The sums begin anew; traces stay."""
        self.eligible.sums[:] = 0

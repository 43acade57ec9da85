"""`Online`: what the rules without a tape have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checked import MOST, checked, in_range
from ..devices.eligibility import Factors
from ..layers.layer import positive_integer
from ..loss import CrossEntropy, Loss, as_loss
from ..network.network import Network
from ..signals.arrays import checked_mask, plain
from ..signals.spikes import Spikes
from . import stack
from .answers import LINEAR, AtEnd, Each
from .column import Column


class Online:
    """Base: a network that learns step by step, with memory that does not grow with their number.

    A rule says how a column keeps its traces (`columns_of`), and what signal each gets (`_learn`).
    """

    by_synapse = True       # whether each synapse has traces of its own
    at_end = True           # whether it serves an answer at the end of a sequence

    def __init__(self, net: Network, loss: Loss | Callable | None, batch: int,
                 rng: np.random.Generator | None):
        rule = type(self).__name__
        if not isinstance(net, Network):
            raise TypeError(f"{rule}: net must be a Network; got {type(net).__name__}")
        self.net, self.batch = net, positive_integer(batch, f"{rule}: batch")
        in_range(1, MOST, batch=batch)
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise TypeError(f"{rule}: rng must be a generator, np.random.default_rng(0), or None; "
                            f"got {rng!r}")
        self.loss_function = CrossEntropy() if loss is None else as_loss(loss)
        if not self.loss_function.by_chunks:
            raise ValueError(f"{rule}: {self.loss_function!r} sees the whole batch at once; derive the loss "
                             f"from ns.loss.Loss and define rows")
        places, over = stack.places(net, rule)
        self._last = next(reversed(net.layers))
        self.columns = [Column(net, place, self.batch, self.by_synapse) for place in places]
        self.answer = self._answer(over)
        self.reset(rng=rng)

    def _answer(self, over):
        if over is None or over.answers_each_step:
            return Each(self.net.loops, over)
        rule = type(self).__name__
        if not self.at_end:
            raise ValueError(f"{rule} learns from the loss of each step, but the network answers once a "
                             f"sequence, {over.describe()}; " + _EACH)
        if over.of != "value" or over.reduce not in LINEAR:
            raise ValueError(f"{rule}: what {over.describe()} makes of a step is known at the end only, when "
                             f"no step is kept; " + _EACH)
        top = self.columns[-1]
        if top.population.output != "v" or len(top.model.Inputs._fields) > 1:
            raise ValueError(f"{rule}: an answer at the end of a sequence is one of membranes (LI, or a "
                             f"population with output=\"v\"); " + _EACH)
        return AtEnd(self.net.loops, over, self.batch)

    # ---- by hand

    @checked
    def step(self, x: ArrayLike | Spikes, target: ArrayLike | None = None,
             mask: ArrayLike | None = None) -> np.ndarray:
        """One time step: what the network answers, (B, C), as `net.step` does.

        x: (B, N).  target: (B,) labels, or what else the loss compares with; its loss is added to those
        before, each the mean over the batch.  None: there is nothing to learn from in this step.  Of a
        network that answers once a sequence the target comes with the last step.  mask: (B,), samples whose
        target counts.
        """
        now = self._input(x)
        if target is None and mask is not None:
            raise ValueError("step: mask says which targets count; there is no target")
        y = self.run(now[None], None if target is None else self._given(target, mask))
        return y[0] if y.ndim == 3 else y

    def _given(self, target, mask):
        """(labels, weights) of the loss of one step, or of the end."""
        loss, each, units = self.loss_function, isinstance(self.answer, Each), self.columns[-1].n
        if each and loss.steps == "mean":
            raise ValueError('step: the mean over steps is not known before the last of them; take a loss '
                             'with steps="sum", or fit, which knows their number')
        if mask is not None and not each:
            raise ValueError("step: mask is for an answer at each step; leave it out")
        target = plain(target, "step: target")
        shape = (1, self.batch, units) if each else (self.batch, units)
        labels = loss.targets(target[None] if each else target, shape)
        weights = np.full(shape[:-1], 1 / self.batch)
        if mask is not None:
            weights *= checked_mask(np.asarray(mask)[None], shape[:-1])
        return labels, weights

    def _input(self, x):
        """(B, N) in the precision of the network, checked."""
        net = self.net
        if isinstance(x, np.ndarray) and type(x) is np.ndarray and x.dtype == net.dtype and x.ndim == 2 \
                and x.shape == (self.batch, self.n_in) and np.isfinite(x).all():
            return x
        found = net._input(net._one_step(x))
        if found.shape[1] != self.batch:
            raise ValueError(f"step: expected x of shape ({self.batch}, {self.n_in}), as many samples as "
                             f"this {type(self).__name__} was made for; got {found.shape[1]} of them")
        return found.dense(net.dtype)[0] if isinstance(found, Spikes) else found[0]

    @property
    def n_in(self) -> int:
        first = self.columns[0]
        return first.n_in if first.dense else first.n * len(first.model.feedforward)

    @property
    def state(self) -> dict[str, Any]:
        """Where the network is, by layer, as `net.step` hands it out and takes it."""
        found: dict[str, Any] = dict.fromkeys(self.net.layers)
        for column in self.columns:
            state = column.population._join(column.state, column.last)
            found[column.place.population] = type(state)(*(values.copy() for values in state))
        if isinstance(self.answer, AtEnd):
            found[self._last] = self.answer.state
        return found

    @property
    def loss(self) -> float:
        """The loss since the last `gradients`, or since the beginning."""
        return self._loss

    @checked
    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients of the loss since the last call, or since the beginning; keys of net.params.

        They begin anew with this call; traces and states go on.  Parameters may be changed now: the next
        step looks at them.
        """
        grads = self._gradients()
        found = {name: np.ascontiguousarray(grads[name], p.dtype) for name, p in self.net.params.items()}
        self._loss = 0.0
        self._forget()
        self._stale = True
        return found

    @checked
    def reset(self, state: dict | None = None, rng: np.random.Generator | None = None) -> None:
        """A new sequence begins: traces and losses are 0.

        state: where it begins, as net.initial_state(B, rng) or net.run hand it out; None: the initial state,
        drawn from rng where it is random.
        """
        state = self.net._state(state, self.batch, rng)
        for column in self.columns:
            column.begin(state[column.place.population])
        if isinstance(self.answer, AtEnd):
            self.answer.begin(state[self._last])
        self._loss, self._stale = 0.0, True
        self._ended: dict[str, np.ndarray] = {}

    # ---- a few steps

    def run(self, x: np.ndarray, given: tuple | None = None,
            lengths: np.ndarray | None = None) -> np.ndarray:
        """Some steps, x (S, B, N) as the device takes it: what the network answers in each, or so far.

        given: (labels, weights) of the loss of these steps, or of the end.  lengths: (B,) how many of these
        steps a sample has.
        """
        if self._stale:
            self._prepare()
        for column in self.columns:
            x = column.forward(x, lengths)
        y = self.answer.of(x, lengths)
        if isinstance(self.answer, Each):
            signal = np.zeros_like(x) if given is None else self.answer.back(self._loss_of(y, given))
            self._learn(signal, given is not None)
        else:
            self._sum_up(self.answer.counting(len(x), lengths).astype(x.dtype))
            if given is not None:
                self._end(self.answer.back(self._loss_of(y, given)))
        return y

    def _loss_of(self, y, given):
        """The gradient of the loss, which is added to those before."""
        value, dy = self.loss_function.weighted(y, *given)
        self._loss += value
        return dy

    def _prepare(self):
        """Look at the parameters."""
        for column in self.columns:
            column.prepare()
        self._stale = False

    def _learn(self, signal: np.ndarray, told: bool) -> None:
        """Learn from d loss / d (what the last population handed out), (S, B, C), in each of the steps.

        told: whether there is a loss, or signal is zero.
        """
        raise TypeError(f"{type(self).__name__} does not define _learn")

    def _sum_up(self, counts: np.ndarray) -> None:
        """Sum up the traces of the steps that count, (S, B) of zeros and ones."""
        answer = self.answer
        for column in self.columns:
            signal = np.repeat(counts[:, :, None], column.n, 2)
            column.learn(signal, Factors(self._kappa(column), answer.keep))     # type: ignore[union-attr]

    def _end(self, signal: np.ndarray) -> None:
        """Learn from d loss / d (what the sum of traces stands for), (B, C)."""
        raise TypeError(f"{type(self).__name__} does not define _end")

    def _kappa(self, column: Column) -> float:
        return 0.0

    def _gradients(self) -> dict[str, np.ndarray]:
        """What has been learned."""
        if isinstance(self.answer, AtEnd):
            return {name: self._ended.get(name, np.zeros_like(p)) for name, p in self.net.params.items()}
        return {name: d for column in self.columns for name, d in column.gradients().items()}

    def _forget(self) -> None:
        """The gradients begin anew."""
        self._ended = {}
        if isinstance(self.answer, Each):
            for column in self.columns:
                column.forget()


_EACH = ('give a label for each step and end the network with ns.OverTime("each"), or without OverTime, or '
         'use rule="bptt"')


def through(loops: Any, error: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """error (S, B, M) times the matrix (M, N), in ascending order with one sum for each output."""
    if matrix is None:
        return error
    return loops.dense_forward(np.ascontiguousarray(error), matrix, np.zeros(matrix.shape[1], matrix.dtype))

"""`ARLIF`: the population whose threshold follows its firing rate."""

from __future__ import annotations

from inspect import Parameter, Signature, signature
from typing import Any, ClassVar

import numpy as np

from ..checked import checked
from ..devices import buffers
from ..neurons import NEURONS
from . import by_step
from .factory import POPULATIONS, population
from .layer import Arriving, Context, Gradients, Result, values
from .population import Names, Prepared

MODES = ("rate_band", "fixed", "learned", "trace")
BAND = ("rate_low", "rate_high", "threshold_step", "threshold_min", "threshold_max")
_Plain: Any = population(NEURONS["ARLIF"])


class ARLIF(_Plain):
    __doc__ = f"""{NEURONS["ARLIF"].doc}

    threshold    how the threshold moves:
                 "rate_band"  in training (`forward`), after each step, where the rate r of spikes over all
                              samples of the batch and all neurons that share a threshold is outside of a
                              band: v_threshold += threshold_step if r > rate_high, -= threshold_step if
                              r < rate_low, kept in threshold_min ... threshold_max.  Padded samples do not
                              count.  No gradient flows through it; `run` and `step` leave it as it is; it is
                              saved with the network
                 "fixed"      not at all
                 "learned"    by its gradient
                 "trace"      by the neuron's own trace of spikes (beta, tau_adp), as the ALIF's
    rate_low, rate_high, threshold_step, threshold_min, threshold_max
                 of the rule above; rates are spikes per neuron and step

    One threshold for the population unless told otherwise (per_channel="v_threshold", or shared=() for one
    per neuron).  With the rate-band rule training takes the whole batch step by step (slower: a step waits
    for the rate of the one before), inference does not.

    Further arguments: see `Population`.
    """
    choices: ClassVar = {"threshold": MODES}

    @checked
    def __init__(self, n: int | tuple[int, ...] | None = None, *, threshold: str = "rate_band",
                 rate_low: float = 0.2, rate_high: float = 0.8, threshold_step: float = 0.1,
                 threshold_min: float = 0.1, threshold_max: float = 2.0, learn: Names = ("decay",),
                 shared: Names | None = None, per_channel: Names = (), **more: Any):
        if threshold not in MODES:
            known = ", ".join(map(repr, MODES))
            raise ValueError(f"ARLIF: threshold must be one of {known}; got {threshold!r}")
        learned = _tuple(learn)
        of_channels = _tuple(per_channel)
        if threshold == "learned" and "v_threshold" not in learned:
            learned += ("v_threshold",)
        if threshold == "trace":
            more = {"beta": 0.2, **more}
        if shared is None:
            shared = tuple(name for name in ("decay", "v_threshold") if name not in of_channels)
        super().__init__(n, learn=learned, shared=shared, per_channel=of_channels, **more)
        self.threshold = threshold
        self.band = (rate_low, rate_high, threshold_step, threshold_min, threshold_max)
        if threshold == "rate_band" and "v_threshold" in self.learn:
            self.refuse("v_threshold is learned, but the rate-band rule moves it too; "
                        "use threshold='learned'")
        if threshold == "trace" and not np.any(self.settings.beta) and "beta" not in self.learn:
            self.refuse("threshold='trace' needs beta, which is 0")
        rates_fit = 0 <= rate_low <= rate_high <= 1
        if not rates_fit or not 0 <= threshold_step < np.inf or not threshold_min <= threshold_max:
            self.refuse(f"expected 0 <= rate_low <= rate_high <= 1, threshold_step >= 0 and "
                        f"threshold_min <= threshold_max; got {self.band}")

    @property
    def needs(self) -> tuple[str, ...]:
        own = ("rate_band", "joined") if self.threshold == "rate_band" else ()
        return (*super().needs, *own)

    @property
    def whole_batch(self) -> bool:
        """Whether the threshold moves in training: it then needs the rate of the whole batch."""
        return self.threshold == "rate_band"

    def smoothed(self) -> None:
        super().smoothed()
        self.threshold = "fixed"        # the rule jumps; its gradient is zero by decision

    def forward(self, x: Arriving, state: Any, prepared: Prepared, context: Context) -> Result:
        if not (self.whole_batch and context.tape):
            return super().forward(x, state, prepared, context)
        x = values(x, self.dtype)
        theta = self.fixed["v_threshold"].astype(np.float64)
        of_each = np.repeat(theta, self.n // theta.size).astype(self.dtype)
        tapes, parts, seen = [], [], []
        watched = context._replace(record=tuple({*context.record, "spike"}))
        for t, inner in enumerate(by_step.contexts(watched, *x.shape[:2])):
            here = prepared._replace(coefficients=prepared.coefficients._replace(v_threshold=of_each))
            done = super().forward(x[t:t + 1].copy(), state, here, inner)
            state = done.state
            tapes.append(done.tape)
            parts.append(values(done.y, self.dtype))
            seen.append({field: done.seen[field] for field in context.record})
            samples = x.shape[1] if inner.lengths is None else int(inner.lengths.sum())
            theta, of_each = context.loops.rate_band(self.band, theta, done.seen["spike"], samples)
        self.fixed["v_threshold"][...] = np.asarray(theta)
        y = context.loops.joined(parts) if parts else x
        return Result(y, state, tapes, by_step.together(seen, context))

    def backward(self, tape: Any, dy: np.ndarray, dstate: Any, dhidden: dict | None, prepared: Prepared,
                 context: Context) -> Gradients:
        if not isinstance(tape, list):
            return super().backward(tape, dy, dstate, dhidden, prepared, context)
        dy = context.loops.put(dy)
        dx: list[Any] = [None] * len(dy)
        params: dict[str, Any] = {}
        hidden = by_step.hidden(dhidden, context, len(dy))
        contexts = by_step.contexts(context, *dy.shape[:2])
        for t in reversed(range(len(dy))):
            here = buffers.contiguous(dy[t:t + 1])
            g = super().backward(tape[t], here, dstate, hidden[t], prepared, contexts[t])
            dx[t], dstate = g.dx, g.dstate
            by_step.add_to(params, g.params)
        if not params:
            params = by_step.no_gradients(self, context.loops)
        if not context.want_dx:
            return Gradients(None, dstate, params)
        return Gradients(context.loops.joined(dx) if dx else dy, dstate, params)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "threshold": self.threshold, **dict(zip(BAND, self.band, strict=True))}


def _tuple(names):
    return (names,) if isinstance(names, str) else tuple(names)


def _signature():
    """The arguments of a population, with these defaults, and those of the threshold's rule."""
    own = signature(ARLIF.__init__).parameters
    general = [p.replace(default=own[p.name].default) if p.name in own else p
               for p in _Plain.__signature__.parameters.values()]
    rule = [own[name].replace(kind=Parameter.KEYWORD_ONLY) for name in ("threshold", *BAND)]
    return Signature([*general, *rule])


ARLIF.__signature__ = _signature()
POPULATIONS["ARLIF"] = ARLIF

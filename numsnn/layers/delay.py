"""`Delay`: what arrives is handed on some steps later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.contract import Delays
from ..neurons.bounds import Bound
from ..signals.integers import is_whole
from ..signals.spikes import Spikes
from .initialise import REPLACED, Value, initial, plain
from .layer import Arriving, Context, Gradients, Result, Shape, Sized, values

LONGEST = 1 << 16       # steps
MOST = 1 << 24          # values of a sample that are on their way


class Past(NamedTuple):
    """The state of Delay."""
    # (B, held): what arrived last, of each feature as many steps as its delay has, or can have where it is
    # real; the oldest first
    past: np.ndarray


class Prepared(NamedTuple):
    """What the present delays give."""
    delays: Delays              # arrays of the device
    shift: np.ndarray | None    # (N,) of the host: the delays, where all are whole


class Delay(Sized):
    """What arrives, some steps later: y_t[n] = x_{t - d[n]}[n], and 0 before the first step.

    x, y: (T, B, N), values or Spikes.  What has not come out yet is the layer's state: of a sequence that is
    no longer than a delay nothing comes out but zeros.

    Delay(steps): whole steps, which stay as they are: a number from 0, which hands on what arrives at once,
    to 65,536; or one for each feature, (N,).

    Delay(max=D): real delays, 0 <= d <= D, that are learned.  In continuous time y(t) = x(t - d); in steps,
    on the line between the two that it lies between, with k = floor(d), but D - 1 for d = D, and f = d - k,

        y_t[n] = (1 - f) x_{t-k}[n] + f x_{t-k-1}[n]
        dL/dd[n] = sum over t and b of dL/dy_t[n] (x_{t-k-1}[n] - x_{t-k}[n])

    At whole d, where the line has a kink, the gradient is that of longer delays, at d = D that of shorter
    ones.  After each update delays are put back within [0, D].  While one of them lies between two steps,
    Spikes become values; `Network.round_delays` makes all of them whole: then Spikes stay Spikes, and their
    lists are shifted.

    max: the longest delay, D: a whole number of steps from 1 to 65,536.  delay: the delays at first, in
    steps: a number, an array (N,) or an initial value (see numsnn.layers.initialise); None: uniform in
    [0, D].  learn: whether they are learned, `params["delay"]`; None: they are; False: `fixed["delay"]`.
    per: "neuron", a delay for each feature, or "layer", one for all of them, (1,).

    The state holds the sum of all steps, with max N D, values of each sample: 2^24 at most.  ValueError where
    delays are none of these; a negative one would hand out what has not arrived yet.  Source: Shrestha &
    Orchard 2018, delays of neurons; the line between steps: DelRec of 2025, once its spread has ended.
    """

    kind = "delay"
    keeps_shape = True
    needs = ("delay_forward", "delay_backward")
    settings_of_host = ("delay",)

    @checked
    def __init__(self, steps: int | Sequence[int] | np.ndarray | None = None, *, max: int | None = None,
                 delay: Value | None = None, learn: bool | None = None, per: str = "neuron",
                 name: str | None = None):
        super().__init__(name)
        if per not in ("neuron", "layer"):
            self.refuse(f"per must be 'neuron' or 'layer'; got {per!r}")
        if learn is not None and not isinstance(learn, (bool, np.bool_)):
            self.refuse(f"learn must be True or False; got {learn!r}")
        self.steps = self.max = None
        if max is None:
            if delay is not None or learn or per != "neuron":
                self.refuse("delay, learn and per are of real delays, of which max= says the longest one; "
                            "Delay(steps) are whole steps that stay as they are")
            self.steps = self._whole(steps)
        else:
            if steps is not None:
                self.refuse("takes either steps, which are whole and stay as they are, or the longest of "
                            "real delays, max; delay= says where these begin")
            self.max = self._longest(max)
        self.delay = delay
        self.learn, self.per = max is not None and learn in (None, True), per

    def _whole(self, steps) -> int | tuple[int, ...]:
        """Numbers of steps, checked."""
        listed = isinstance(steps, (list, tuple)) or isinstance(steps, np.ndarray) and steps.ndim == 1
        of_each = list(steps) if listed else [steps]
        if not of_each or not all(is_whole(d, 0) and d <= LONGEST for d in of_each):
            advice = "; for delays that are learned say max= instead" if steps is None else ""
            if any(is_whole(d) and d < 0 for d in of_each):
                advice = "; a negative delay would hand out what has not arrived yet"
            self.refuse(f"steps must be a whole number from 0 to {LONGEST:,}, or one for each feature; "
                        f"got {steps!r}{advice}")
        return tuple(map(int, of_each)) if listed else int(steps)

    def _longest(self, most) -> int:
        if not is_whole(most, 1) or most > LONGEST:
            advice = "; without any delay the layer can be left out" if is_whole(most, 0) and not most else ""
            self.refuse(f"max, the longest delay, must be a whole number of steps from 1 to {LONGEST:,}; "
                        f"got {most!r}{advice}")
        return int(most)

    def connect(self, shape: Shape | None) -> Shape:
        shape = super().connect(shape)
        if isinstance(self.steps, tuple) and len(self.steps) != self.n:
            self.refuse(f"has a delay for each of {len(self.steps)} features, but {self.n} arrive")
        of_each = self.max if self.steps is None else self.steps
        self.held = int(np.broadcast_to(np.asarray(of_each, np.int64), self.n).sum())
        if self.held > MOST:
            self.refuse(f"its delays hold {self.held:,} values of each sample, more than {MOST:,}; "
                        f"take longer time steps or fewer features")
        return shape

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)
        if self.max is None:
            return
        begin: Any = ("uniform", 0.0, float(self.max)) if self.delay is None else self.delay
        shape = (1,) if self.per == "layer" else (self.n,)
        array = initial(begin, rng, shape, f"{self.name or type(self).__name__}.delay").astype(dtype)
        why = "" if REPLACED.get() else self.impossible("delay", array)
        if why:
            self.refuse(why)
        (self.params if self.learn else self.fixed)["delay"] = array

    def bounds(self) -> dict[str, Bound]:
        if self.max is None:
            return {}
        rule = (f"is a number of steps from 0, for what has not arrived cannot be handed out, to "
                f"max = {self.max}")
        return {"delay": Bound(0.0, float(self.max), rule)}

    def remark(self) -> str:
        size = self.held * self.dtype.itemsize
        return f"{self.held:,} values of each sample are on their way, {size / 1e3:,.1f} kB"

    def learned_within(self) -> list[str]:
        return [f"delay {self.bounds()['delay']}"] if self.learn else []

    # ---- the present delays

    @property
    def _array(self):
        """Real delays, as they are stored."""
        return (self.params if self.learn else self.fixed)["delay"]

    def in_steps(self) -> np.ndarray:
        """The present delay of each feature in steps, (N,), float64."""
        present = self.steps if self.max is None else self._array
        return np.broadcast_to(np.asarray(present, np.float64), self.n).copy()

    def shift(self) -> np.ndarray | None:
        """By how many whole steps each feature is delayed, (N,); None where one lies between two steps."""
        return self._delays().shift()

    def round_delays(self) -> int:
        if self.max is None:
            return 0
        array = self._array
        whole = np.rint(array)
        changed = int(np.count_nonzero(whole != array))
        array[...] = whole
        return changed

    def _delays(self) -> Delays:
        if self.max is None:
            return Delays.by_steps(np.broadcast_to(np.asarray(self.steps, np.int64), self.n), self.dtype)
        return Delays.by(self.in_steps(), self.max, self.dtype)

    # ---- runs

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> Past:
        return Past(np.zeros((batch, self.held), self.dtype))

    def prepare(self, context: Context) -> Prepared:
        delays = self._delays()
        return Prepared(Delays(*map(context.loops.put, delays)), delays.shift())

    def forward(self, x: Arriving, state: Past, prepared: Prepared, context: Context) -> Result:
        loops, (delays, shift), learns = context.loops, prepared, context.tape and self.learn
        in_lists = isinstance(x, Spikes) and loops.HOST and _counts(state.past)
        if in_lists and shift is not None and not learns:
            y, past = loops.delay_spikes(shift, delays, x, state.past, context.lengths)
            return Result(y, Past(past))
        y, past, slope = loops.delay_forward(delays, values(x, self.dtype), state.past, context.lengths,
                                             learns)
        return Result(y, Past(past), slope)

    def step(self, loops: Any) -> tuple:
        return loops.delay_step(self._delays(), self.dtype, () if self.max is None else (self._array,))

    def backward(self, tape: Any, dy: np.ndarray, dstate: Past, dhidden: dict | None, prepared: Prepared,
                 context: Context) -> Gradients:
        dx, dpast, d = context.loops.delay_backward(prepared.delays, tape, dy, dstate.past, context.lengths)
        if d is None:
            return Gradients(dx, Past(dpast), {})
        return Gradients(dx, Past(dpast), context.loops.later(("delay",), (d,), self._shared))

    def _shared(self, of_each):
        """The gradient of the delays from that of each feature's."""
        shared = of_each.reshape(self._array.size, -1).sum(1, dtype=np.float64)
        return {"delay": shared.astype(self.dtype)}

    def config(self) -> dict[str, Any]:
        if self.max is None:
            return {"steps": self.steps, "name": self.name}
        return {"max": self.max, "delay": None if self.delay is None else plain(self.delay),
                "learn": self.learn, "per": self.per, "name": self.name}

    def describe(self) -> str:
        if self.max is not None:
            shared = ", per='layer'" if self.per == "layer" else ""
            return f"Delay(max={self.max}{shared}{'' if self.learn else ', learn=False'})"
        if isinstance(self.steps, tuple):
            return f"Delay({min(self.steps)} ... {max(self.steps)})"
        return f"Delay({self.steps})"


def _counts(past):
    """Whether lists of spikes can hold these values."""
    return bool(((past >= 0) & (past == past.astype(np.float32))).all())

"""`Dense`: all-to-all synapses, and `DelayedDense`, which it becomes with delays."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.contract import Lagged
from .delays import Delays
from .initialise import Value, initial, plain
from .layer import Arriving, Context, Gradients, Layer, Result, Shape, positive_integer, size
from .spread import LARGEST, SpreadDelays


class Dense(Layer):
    """All-to-all synapses: y_t = x_t W + b, for each time step.

    x: (T, B, n_in) values or Spikes; y: (T, B, n_out).  weight is (n_in, n_out), so that a spike reads one
    row (PyTorch holds the transpose); bias is (n_out,), or absent with bias=False.  Spikes are summed event
    by event.  In the forward pass the sum over inputs runs in ascending order with one accumulator per
    output: Spikes, the same as values, one row or many give the same bits.

    n_in, n_out: sizes.  weight, bias: initial values (see numsnn.layers.initialise); bias=False for none.
    delays: `ns.Delays`, and each synapse has a delay that is learned: see `DelayedDense`.
    """

    kind = "dense"
    needs: tuple[str, ...] = ("dense_forward", "dense_backward")

    @checked
    def __init__(self, n_in: int, n_out: int, *, weight: Value = "xavier_uniform",
                 bias: Value | bool = "zeros", delays: Delays | dict[str, Any] | None = None,
                 name: str | None = None):
        super().__init__(name)
        self.n_in = positive_integer(n_in, "Dense: n_in")
        self.n_out = positive_integer(n_out, "Dense: n_out")
        self.weight = weight
        self.bias = "zeros" if bias is True else bias
        if delays is not None:
            self._delay(Delays.of(delays))

    def _delay(self, delays):
        """What has delays is of a class of its own, with a state."""
        self.__class__ = DelayedDense
        DelayedDense._delay(self, delays)

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        label = self.name or "Dense"
        weight = initial(self.weight, rng, (self.n_in, self.n_out), f"{label}.weight")
        self.params["weight"] = weight.astype(dtype)
        self._build_bias(rng, dtype)

    def _build_bias(self, rng, dtype):
        if self.bias is not False:
            what = f"{self.name or 'Dense'}.bias"
            self.params["bias"] = initial(self.bias, rng, (self.n_out,), what).astype(dtype)

    def declared_shape(self) -> Shape:
        return (self.n_out,)

    def connect(self, shape: Shape | None) -> Shape:
        arriving = size(shape)
        if arriving not in (None, self.n_in):
            self.refuse(f"expects {self.n_in} inputs, but {arriving} arrive; "
                        f"use Dense({arriving}, {self.n_out})")
        return (self.n_out,)

    def prepare(self, context: Context | None) -> Any:
        weight = self.params["weight"]
        return weight, self._bias(weight.dtype)

    def _bias(self, dtype):
        return self.params.get("bias", np.zeros(self.n_out, dtype))

    def forward(self, x: Arriving, state: Any, prepared: Any, context: Context) -> Result:
        return Result(context.loops.dense_forward(x, *prepared), None, x if context.tape else None)

    def step(self, loops: Any) -> tuple | None:
        return loops.dense_step(*self.prepare(None))

    def backward(self, tape: Arriving, dy: np.ndarray, dstate: Any, dhidden: dict | None, prepared: Any,
                 context: Context) -> Gradients:
        dweight, dbias, dx = context.loops.dense_backward(tape, prepared[0], dy, context.want_dx)
        return Gradients(dx, None, self._learned({"weight": dweight}, dbias))

    def _learned(self, gradients, dbias):
        return gradients | {"bias": dbias} if "bias" in self.params else gradients

    def config(self) -> dict[str, Any]:
        return {"n_in": self.n_in, "n_out": self.n_out, "weight": plain(self.weight),
                "bias": plain(self.bias), "name": self.name}

    def describe(self) -> str:
        return f"Dense({self.n_in}, {self.n_out})"


class Coming(NamedTuple):
    """The state of DelayedDense."""
    # (B, max, n_out): what earlier inputs contribute to the next steps, the first row to the very next
    current: np.ndarray


class DelayedDense(SpreadDelays, Dense):
    """All-to-all synapses with delays, `Dense(n_in, n_out, delays=ns.Delays(max=25))`:

        y_t[j] = b[j] + sum_{k, i, q} w[q, i, j] K(k; d[q, i, j], sigma) x_{t-k}[i]

    K: the share of lag k = 0 ... max, a Gaussian or a triangle around the position d (see `ns.Delays`); q:
    kernels.  Before the first step x is 0.

    x: (T, B, n_in) values or Spikes; y: (T, B, n_out).  Parameters: weight and delay, (kernels n_in, n_out),
    in which kernel q of input i is row q n_in + i, and bias (n_out,); delays are in steps, within [0, max].
    sigma, (1,), is no parameter but a setting, in `fixed`, that is stored with the network and narrowed by
    `ns.AnnealDelays`; `round_delays` ends it.  Positions change by steps, weights by hundredths: give them a
    rate of their own, Adam(1e-3, factors={"*.delay": 100}).

    The layer's state is what is on its way, max n_out currents of each sample.  A spike adds the weights of
    all lags, (max + 1) n_out numbers, to the currents of the steps ahead; once the delays are whole it adds
    kernels n_out.  The weights of all lags, (n_in, max + 1, n_out), are made once for each call of the
    network, on the host; with whole delays they need not be, but on a GPU.  An output has one accumulator:
    to it steps add in their order, in each the inputs in ascending order, the bias at the end.

    n_in, n_out, weight, bias: as of `Dense`; fans of initial weights count the kernels.  delays: `ns.Delays`.
    """

    needs = ("lagged_forward", "lagged_backward")
    # what is spread over lags is spread on the host
    settings_of_host = ("weight", "delay")
    delays: Delays

    @checked
    def __init__(self, n_in: int, n_out: int, delays: Delays | dict[str, Any], *,
                 weight: Value = "xavier_uniform", bias: Value | bool = "zeros", name: str | None = None):
        super().__init__(n_in, n_out, weight=weight, bias=bias, delays=Delays.of(delays), name=name)

    def _delay(self, delays):
        self.delays = delays
        if delays.axonal:
            self.refuse(f"its delays are of synapses; one for each input is a layer of its own before it, "
                        f"ns.Delay(max={delays.max})")
        if self.n_in * (delays.max + 1) * self.n_out > LARGEST:
            self.refuse(f"its delays have {self.n_in * (delays.max + 1) * self.n_out:,} weights of all lags, "
                        f"more than {LARGEST:,}; take longer time steps, a smaller max or fewer units")

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        label, shape = self.name or "Dense", (self.delays.kernels * self.n_in, self.n_out)
        self.params["weight"] = initial(self.weight, rng, shape, f"{label}.weight").astype(dtype)
        self._build_delay(rng, shape, dtype)
        self._build_bias(rng, dtype)

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> Coming:
        return Coming(np.zeros((batch, self.delays.max, self.n_out), self.fixed["sigma"].dtype))

    def prepare(self, context: Context | None) -> Lagged:
        weight, position = self._by_kernel()
        bias, most = self._bias(weight.dtype), self.delays.max
        elsewhere = None if context is None or context.loops.HOST else context.loops
        if elsewhere is None and not self.sigma:
            return Lagged(weight, np.rint(position).astype(np.int32), bias, most)
        wide = self.delays.expanded(weight, position, self.sigma)
        return Lagged(wide if elsewhere is None else elsewhere.put(wide), None, bias, most)

    def _by_kernel(self):
        """Weights and delays, (kernels, n_in, n_out)."""
        shape = (self.delays.kernels, self.n_in, self.n_out)
        return self.params["weight"].reshape(shape), self.params["delay"].reshape(shape)

    def forward(self, x: Arriving, state: Coming, prepared: Lagged, context: Context) -> Result:
        y, coming = context.loops.lagged_forward(prepared, x, state.current, context.lengths)
        return Result(y, Coming(coming), x if context.tape else None)

    def step(self, loops: Any) -> tuple:
        lagged, spread = self.prepare(None), (self.params["delay"], self.fixed["sigma"])
        # with whole delays it is read where it lies
        weight = () if lagged.lag is not None else (self.params["weight"],)
        return loops.lagged_step(lagged, spread + weight)

    def backward(self, tape: Arriving, dy: np.ndarray, dstate: Coming, dhidden: dict | None,
                 prepared: Lagged, context: Context) -> Gradients:
        dweight, dbias, dcoming, dx = context.loops.lagged_backward(
            prepared, tape, dy, dstate.current, context.lengths, context.want_dx)
        learned = context.loops.later(("weight", "delay"), (dweight,), partial(self._of_kernels, prepared))
        return Gradients(dx, Coming(dcoming), self._learned(learned, dbias))

    def _of_kernels(self, prepared, dweight):
        """The gradients of weights and delays from that of the weights of all lags, or of one of each."""
        weight, position = self._by_kernel()
        if prepared.lag is None:
            dweight, ddelay = self.delays.gathered(dweight, weight, position, self.sigma)
        else:
            ddelay = np.zeros_like(position)
        shape = self.params["weight"].shape
        return {"weight": dweight.reshape(shape), "delay": ddelay.reshape(shape)}

    def remark(self) -> str:
        lags, synapses = self.delays.max + 1, self.n_in * self.n_out
        numbers = synapses * lags if self.sigma else self.delays.kernels * synapses
        bytes_each = self.fixed["sigma"].dtype.itemsize
        held = self.delays.max * self.n_out * bytes_each
        width = f"sigma {self.sigma:g}" if self.sigma else "whole steps"
        return f"delays 0 ... {self.delays.max} steps, {width}: {held / 1e3:,.1f} kB of each sample are on " \
               f"their way, weights of all lags {numbers * bytes_each / 1e6:,.1f} MB"

    def config(self) -> dict[str, Any]:
        return {**super().config(), "delays": self.delays.config()}

    def describe(self) -> str:
        return f"Dense({self.n_in}, {self.n_out}, {self.delays})"

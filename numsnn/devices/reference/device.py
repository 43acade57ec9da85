"""The reference device: NumPy only, one Python loop over time, written to be read.  Numba is not needed.

Populations, and dense layers, give the same bits as the compiled loops in the forward pass, because both run
the same elementwise functions and sum over ascending inputs with one accumulator per output.
"""

import platform
from collections.abc import Callable, Collection
from contextlib import nullcontext as one_thread
from functools import partial
from typing import Any

import numpy as np
from numpy import zeros
from numpy.typing import DTypeLike

from ...neurons.elementwise import exp
from ...neurons.model import Functions
from ...signals.spikes import Spikes
from ..access import gather, gather_sum, scatter
from ..buffers import held
from ..contract import (
    Dynamics,
    Geometry,
    Gradients,
    PopulationGradients,
    Recurrent,
    Run,
    Start,
    Tape,
    Want,
    valid_steps,
    with_fields,
)
from ..norm import (
    batch_norm_backward,
    batch_norm_forward,
    layer_norm_backward,
    layer_norm_forward,
)
from .delay import delay_backward, delay_forward, delay_spikes
from .eligibility import eligibility_forward as _eligibility_forward, eligibility_step
from .lagged import lagged_backward, lagged_forward
from .over_time import over_time_backward, over_time_forward as _over_time_forward
from .parts import beside, joined, parted
from .pointwise import (
    activation_backward,
    activation_forward,
    random_factors,
    ternary_backward,
    ternary_forward,
    times,
)
from .steps import reordered, sum_steps
from .totals import euclidean, finite, square_sums

HOST = True         # arrays are NumPy's
CHUNKED = False     # a batch goes through the layers as a whole
STEPS = False


def add_rows(current: np.ndarray, weight: np.ndarray, values: np.ndarray) -> None:
    """current[b] += sum over ascending k of values[b, k] * weight[k], one accumulator per output.

    Zeros are skipped.
    """
    for k in np.flatnonzero(values.any(0)):
        b = np.flatnonzero(values[:, k])
        current[b] += values[b, k, None] * weight[k]


def dense_forward(x: Spikes | np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    steps, batch, _ = x.shape
    y = np.full((steps * batch, weight.shape[1]), bias, weight.dtype)
    add_rows(y, weight, _values(x, weight.dtype))
    return y.reshape(steps, batch, weight.shape[1])


def dense_backward(
        x: Spikes | np.ndarray, weight: np.ndarray, dy: np.ndarray,
        want_dx: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    rows, grad = _values(x, weight.dtype), dy.reshape(-1, dy.shape[2])
    dx = (grad @ weight.T).reshape(x.shape) if want_dx else None
    return rows.T @ grad, grad.sum(0), dx


def _patches(x, g):
    """(padded pictures, patches): patches(padded) is (R, C, kh, kw, H', W').

    That is the part of each padded picture that each place of the kernel sees, a view.
    """
    padded = _padded(x, g)
    r, c, h, w = padded.strides
    shape = (len(padded), g.channels, *g.kernel, *g.out)
    strides = (r, c, h * g.dilation[0], w * g.dilation[1], h * g.stride[0], w * g.stride[1])
    return padded, lambda a: np.lib.stride_tricks.as_strided(a, shape, strides)


def _padded(x, g):
    """The pictures (R, C, H, W) with their padding around them."""
    top, left = g.padding
    return np.pad(x.reshape(-1, g.channels, *g.size), ((0, 0), (0, 0), (top, top), (left, left)))


def _unpadded(pictures, g):
    """What lies within the padding."""
    (top, left), (height, width) = g.padding, g.size
    return pictures[:, :, top:top + height, left:left + width]


def conv_forward(
        x: Spikes | np.ndarray, weight: np.ndarray, bias: np.ndarray, geometry: Geometry,
        into: np.ndarray | None = None) -> np.ndarray:
    padded, patches = _patches(_values(x, weight.dtype), geometry)
    y = np.tensordot(patches(padded), weight, ((1, 2, 3), (1, 2, 3)))               # (R, H', W', O)
    channels_first = np.ascontiguousarray(np.moveaxis(y + bias, 3, 1))
    return channels_first.reshape(*x.shape[:2], len(weight) * int(np.prod(geometry.out)))


def conv_backward(
        x: Spikes | np.ndarray, weight: np.ndarray, dy: np.ndarray, geometry: Geometry, want_dx: bool,
        into: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The gradients of `conv_forward`; see contract.py."""
    padded, patches = _patches(_values(x, weight.dtype), geometry)
    dy = dy.reshape(len(padded), len(weight), *geometry.out)
    dweight = np.tensordot(dy, patches(padded), ((0, 2, 3), (0, 4, 5)))
    if not want_dx:
        return dweight, dy.sum((0, 2, 3)), None
    dpadded = np.zeros_like(padded)
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            seen = patches(dpadded)[:, :, i, j]
            seen += np.moveaxis(np.tensordot(dy, weight[:, :, i, j], ((1,), (0,))), 3, 1)
    dx = np.ascontiguousarray(_unpadded(dpadded, geometry))
    return dweight, dy.sum((0, 2, 3)), dx.reshape(x.shape)


def max_pool_forward(x: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    padded, patches = _patches(x, geometry)
    rows, columns = geometry.kernel
    windows = np.moveaxis(patches(padded), (2, 3), (4, 5)).reshape(*x.shape[:2], -1, rows * columns)
    taken = windows.argmax(3)
    return np.take_along_axis(windows, taken[..., None], 3)[..., 0], taken


def max_pool_backward(taken: np.ndarray, dy: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient of each window at the place where its largest value lay."""
    channels, (rows, columns) = geometry.channels, geometry.kernel
    dx = np.zeros((*dy.shape[:2], channels, *geometry.size), dy.dtype)
    _, patches = _patches(dx, geometry)
    seen = patches(dx.reshape(-1, channels, *geometry.size))
    for k in range(rows * columns):
        d = np.where(taken == k, dy, dy.dtype.type(0))
        seen[:, :, k // columns, k % columns] += d.reshape(-1, channels, *geometry.out)
    return dx.reshape(*dy.shape[:2], -1)


def _places(pictures, g):
    """Views of the pictures (R, C, H, W), one for each place of the window: (R, C, H', W')."""
    (down, right), (rows, columns) = g.stride, g.out
    for i in range(g.kernel[0]):
        for j in range(g.kernel[1]):
            seen_rows = slice(i, i + (rows - 1) * down + 1, down)
            seen_columns = slice(j, j + (columns - 1) * right + 1, right)
            yield pictures[:, :, seen_rows, seen_columns]


def sum_pool_forward(x: np.ndarray, geometry: Geometry, scale: float) -> np.ndarray:
    """Sums over windows, times `scale`; places in the padding count as zeros."""
    pictures = x.reshape(-1, geometry.channels, *geometry.size)
    if any(geometry.padding):
        pictures = _padded(x, geometry)
    y = np.zeros((len(pictures), geometry.channels, *geometry.out), x.dtype)
    for place in _places(pictures, geometry):
        y += place
    if scale != 1:
        y *= x.dtype.type(scale)
    return y.reshape(*x.shape[:2], -1)


def sum_pool_backward(dy: np.ndarray, geometry: Geometry, scale: float) -> np.ndarray:
    d = dy.reshape(-1, geometry.channels, *geometry.out)
    d = d if scale == 1 else d * d.dtype.type(scale)
    size = (n + 2 * p for n, p in zip(geometry.size, geometry.padding, strict=True))
    dx = np.zeros((len(d), geometry.channels, *size), d.dtype)
    for place in _places(dx, geometry):
        place += d
    return np.ascontiguousarray(_unpadded(dx, geometry)).reshape(*dy.shape[:2], -1)


def _values(x, dtype):
    values = x.dense(dtype) if isinstance(x, Spikes) else x
    return values.reshape(-1, x.shape[2])


def population_forward(
        dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None, want: Want) -> Run:
    """One Python loop over time; see contract.py."""
    model, (steps, batch), shape, dtype = dynamics.model, x[0].shape[:2], x[0].shape, x[0].dtype
    recur, f = dynamics.recur, _functions(dynamics, dtype)
    active = valid_steps(steps, batch, start.lengths)
    state = model.State(*(a.copy() for a in start.state))
    last = None if start.last is None else start.last.copy()
    stored = want.stored(recur) | ({"spike"} if want.events else set())
    out = with_fields(model.Out, stored, lambda name: np.zeros(shape, dtype))
    states = model.State(*(np.empty(shape, dtype) if want.tape else None for _ in model.State._fields))
    for t in range(steps):
        on = active[t]
        if recurrent is not None:
            _add_recurrence(dynamics, x, t, state, start.coefficients, f, recurrent, last)
        scatter(states, t, state)
        o, new = model.step(gather(x, t), state, start.coefficients, f)
        scatter(out, t, type(o)(*(np.where(on, a, 0) for a in o)))
        state = _where(on, new, state)
        if recurrent is not None:
            assert recur is not None
            last = np.where(on, getattr(o, recur), last)
    events = Spikes.from_dense(out.spike) if want.events else None
    tape = Tape(x, states, start, None, getattr(out, recur) if recur else None) if want.tape else None
    return Run(want.of(out), events, state, last, tape)


eligibility_forward = partial(_eligibility_forward, population_forward)


def _add_recurrence(dynamics, x, t, state, coefficients, f, recurrent, last):
    """The currents of a step += bias + what recurs times the weights; SECOND's comes after the others."""
    model = dynamics.model
    for g, name in enumerate(model.recurrent):
        if name != model.second:
            _recur(getattr(x, name)[t], recurrent, g, last)
    if model.second:
        middle = model.between(gather(x, t), state, coefficients, f)
        _recur(getattr(x, model.second)[t], recurrent, model.recurrent.index(model.second), middle)


def _recur(current, recurrent, g, values):
    """current += bias + values V, of one of the currents that the recurrence feeds."""
    current += 0 if recurrent.bias is None else recurrent.bias[g]
    add_rows(current, recurrent.weight[g], values)


def _where(on, a, b):
    """The fields of the tuple a where a step is one, else those of b."""
    return type(a)(*(np.where(on, v, w) for v, w in zip(a, b, strict=True)))


def population_backward(
        dynamics: Dynamics, tape: Tape, recurrent: Recurrent | None, gradients: Gradients,
        learn: Collection[str]) -> PopulationGradients:
    """The same loop backwards; see contract.py."""
    model, (steps, batch, units), dtype = dynamics.model, tape.current[0].shape, tape.current[0].dtype
    recur, coefficients, f = dynamics.recur, tape.start.coefficients, _functions(dynamics, dtype)
    active = valid_steps(steps, batch, tape.start.lengths)
    dx = type(tape.current)(*map(np.empty_like, tape.current))
    dstate, dlast = gradients.state, gradients.last
    dparams = with_fields(model.Params, learn, lambda name: np.zeros(units, dtype))
    dweight = None if recurrent is None else tuple(map(np.zeros_like, recurrent.weight))
    dbias = None if recurrent is None or recurrent.bias is None else tuple(map(np.zeros_like, recurrent.bias))
    for t in reversed(range(steps)):
        on = active[t]
        back = None if dlast is None else dlast[None]
        dout = gather_sum(gradients.out, t, with_fields(model.Out, (recur,), {recur: back}.get), 0)
        inputs, state = gather(tape.current, t), gather(tape.states, t)
        dstep = model.step_adjoint(inputs, state, coefficients, f, dout, dstate)
        if recurrent is not None and model.second:
            dstep = _through_second(model, recurrent, inputs, state, coefficients, f, dstep)
        dinputs, dbefore, dp = dstep
        scatter(dx, t, type(dx)(*(np.where(on, d, 0) for d in dinputs)))
        dstate = _where(on, dbefore, dstate)
        for total, d in zip(dparams, dp, strict=True):
            if total is not None:
                total += np.where(on, d, 0).sum(0)
        if recurrent is not None:
            assert dlast is not None
            taken = _taken(model, tape, t, on, inputs, state, f)
            currents = [getattr(dx, name)[t] for name in model.recurrent]
            _add_weight_gradients(dweight, dbias, taken, currents)
            dlast = np.where(on, _returned(model, recurrent, currents), dlast)
    return PopulationGradients(dx, dstate, dlast, dparams, dweight, dbias)


def _through_second(model, recurrent, inputs, state, coefficients, f, dstep):
    """The gradients of a step, and those that go through the product of SECOND and `between` on top."""
    weight = recurrent.weight[model.recurrent.index(model.second)]
    d = getattr(dstep[0], model.second) @ weight.T
    more = model.between_adjoint(inputs, state, coefficients, f, d)
    return tuple(map(_added, dstep, more))


def _added(a, b):
    """The sums of the fields of two tuples."""
    return type(a)(*(v + w for v, w in zip(a, b, strict=True)))


def _taken(model, tape, t, on, inputs, state, f):
    """What the product of each current took in step t."""
    recurred = tape.values[t - 1] if t > 0 else tape.start.last
    taken = dict.fromkeys(model.recurrent, recurred)
    if model.second:
        between = model.between(inputs, state, tape.start.coefficients, f)
        taken[model.second] = np.where(on, between, 0)
    return taken.values()


def _add_weight_gradients(dweight, dbias, taken, currents):
    """What a step adds, from what each current took and from the gradient of each current."""
    for g, (values, d) in enumerate(zip(taken, currents, strict=True)):
        dweight[g][...] += values.T @ d
        if dbias is not None:
            dbias[g][...] += d.sum(0)


def _returned(model, recurrent, currents):
    """What the currents of a step give back to what recurred."""
    fed = zip(model.recurrent, currents, recurrent.weight, strict=True)
    return sum(d @ weight.T for name, d, weight in fed if name != model.second)


def _functions(dynamics, dtype):
    s = dynamics.surrogate
    return Functions(s.spike, s.slope, s.typed(dtype), dynamics.activation.value, dynamics.activation.slope)


def softmax(x: np.ndarray) -> np.ndarray:
    z = exp(x - x.max(-1, keepdims=True))
    return z / np.add.accumulate(z, -1)[..., -1:]


def sum_over_time(start: np.ndarray, z: np.ndarray, counted: np.ndarray) -> np.ndarray:
    terms = np.where(counted, z, z.dtype.type(0))
    return np.add.accumulate(np.concatenate((start[None], terms)), 0)[-1]


over_time_forward = partial(_over_time_forward, softmax=softmax, sum_over_time=sum_over_time)


def put(a: Any) -> Any:
    return a


send = put


def finish() -> None:
    """All is done when a function returns."""


def busy(run: Callable[[], object]) -> None:
    """Nothing is known of kernels."""


def name() -> str:
    return platform.machine()


def holds(a: object) -> bool:
    return False


def refusal(dynamics: Dynamics, units: int, dtype: DTypeLike) -> str:
    return ""


def update(rule: Callable, p: np.ndarray, g: np.ndarray, slots: Any, k: Any) -> None:
    p[...], after = rule(p, g, slots, k)
    for slot, values in zip(slots, after, strict=True):
        slot[...] = values


def softmax_cross_entropy(
        y: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss and its gradient; see contract.py."""
    shifted = y - y.max(1, keepdims=True)
    p = np.exp(shifted)
    total = p.sum(1, keepdims=True)
    rows = np.arange(len(y))
    of_rows = np.log(total[:, 0]).astype(np.float64) - shifted[rows, labels]
    loss = float(weights @ of_rows)
    p /= total
    p[rows, labels] -= 1
    p *= weights.astype(y.dtype)[:, None]
    return loss, p


__all__ = ["CHUNKED", "HOST", "STEPS", "activation_backward", "activation_forward", "batch_norm_backward",
           "batch_norm_forward", "beside", "busy", "conv_backward", "conv_forward", "delay_backward",
           "delay_forward", "delay_spikes", "dense_backward", "dense_forward", "eligibility_forward",
           "eligibility_step", "euclidean", "finish", "finite", "held", "holds", "joined",
           "lagged_backward", "lagged_forward", "layer_norm_backward", "layer_norm_forward",
           "max_pool_backward", "max_pool_forward", "name", "one_thread", "over_time_backward",
           "over_time_forward", "parted", "population_backward", "population_forward", "put",
           "random_factors", "refusal", "reordered", "send", "softmax", "softmax_cross_entropy",
           "square_sums", "sum_pool_backward", "sum_pool_forward", "sum_steps", "ternary_backward",
           "ternary_forward", "times", "update", "zeros"]

"""The reference device: NumPy only, one Python loop over time, written to be read.  Numba is not needed.

Populations, and dense layers, give the same bits as the compiled loops in the forward pass, because both run the same
elementwise functions and sum over ascending inputs with one accumulator per output.
"""

import platform
from contextlib import nullcontext as one_thread
from functools import partial

import numpy as np
from numpy import zeros

from ...neurons.elementwise import exp
from ...neurons.model import Functions
from ...signals.spikes import Spikes
from ..access import gather, gather_sum, scatter
from ..buffers import held
from ..contract import Gradients, PopulationGradients, Run, Tape, valid_steps
from ..norm import (
    batch_norm_backward,
    batch_norm_forward,
    layer_norm_backward,
    layer_norm_forward,
)
from .over_time import over_time_backward, over_time_forward as _over_time_forward
from .pointwise import activation_backward, activation_forward, random_factors, times

HOST = True         # arrays are NumPy's
CHUNKED = False     # a batch goes through the layers as a whole
STEPS = False


def add_rows(current, weight, values):
    """current[b] += sum over ascending k of values[b, k] * weight[k], one accumulator per output; zeros are skipped."""
    for k in np.flatnonzero(values.any(0)):
        b = np.flatnonzero(values[:, k])
        current[b] += values[b, k, None] * weight[k]


def dense_forward(x, weight, bias):
    steps, batch, _ = x.shape
    y = np.empty((steps * batch, weight.shape[1]), weight.dtype)
    y[:] = bias
    add_rows(y, weight, _values(x, weight.dtype))
    return y.reshape(steps, batch, weight.shape[1])


def dense_backward(x, weight, dy, want_dx):
    rows, grad = _values(x, weight.dtype), dy.reshape(-1, dy.shape[2])
    return rows.T @ grad, grad.sum(0), (grad @ weight.T).reshape(x.shape) if want_dx else None


def _patches(x, g):
    """(R, C, kh, kw, H', W'): the part of each padded picture that each place of the kernel sees, a view."""
    padded = np.pad(x.reshape(-1, g.channels, *g.size), ((0, 0), (0, 0), (g.padding[0],) * 2, (g.padding[1],) * 2))
    r, c, h, w = padded.strides
    shape = (len(padded), g.channels, *g.kernel, *g.out)
    strides = (r, c, h * g.dilation[0], w * g.dilation[1], h * g.stride[0], w * g.stride[1])
    return padded, lambda a: np.lib.stride_tricks.as_strided(a, shape, strides)


def conv_forward(x, weight, bias, geometry, into=None):
    padded, patches = _patches(_values(x, weight.dtype), geometry)
    y = np.tensordot(patches(padded), weight, ((1, 2, 3), (1, 2, 3)))               # (R, H', W', O)
    return np.ascontiguousarray(np.moveaxis(y + bias, 3, 1)).reshape(*x.shape[:2], y[0].size if len(y) else len(weight) * int(np.prod(geometry.out)))


def conv_backward(x, weight, dy, geometry, want_dx, into=None):
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
    (p, q), (h, w) = geometry.padding, geometry.size
    dx = dpadded[:, :, p:p + h, q:q + w]
    return dweight, dy.sum((0, 2, 3)), np.ascontiguousarray(dx).reshape(x.shape)


def max_pool_forward(x, geometry):
    padded, patches = _patches(x, geometry)
    windows = np.moveaxis(patches(padded), (2, 3), (4, 5)).reshape(*x.shape[:2], -1, geometry.kernel[0] * geometry.kernel[1])
    taken = windows.argmax(3)
    return np.take_along_axis(windows, taken[..., None], 3)[..., 0], taken


def max_pool_backward(taken, dy, geometry):
    dx = np.zeros((*dy.shape[:2], geometry.channels, *geometry.size), dy.dtype)
    _, patches = _patches(dx, geometry)
    pictures, seen = dx.reshape(-1, geometry.channels, *geometry.size), (-1, geometry.channels, *geometry.out)
    for k in range(geometry.kernel[0] * geometry.kernel[1]):
        patches(pictures)[:, :, k // geometry.kernel[1], k % geometry.kernel[1]] += np.where(taken == k, dy, dy.dtype.type(0)).reshape(seen)
    return dx.reshape(*dy.shape[:2], -1)


def _places(pictures, g):
    """Views of the pictures (R, C, H, W), one for each place of the window: (R, C, H', W')."""
    for i in range(g.kernel[0]):
        for j in range(g.kernel[1]):
            yield pictures[:, :, i:i + (g.out[0] - 1) * g.stride[0] + 1:g.stride[0], j:j + (g.out[1] - 1) * g.stride[1] + 1:g.stride[1]]


def sum_pool_forward(x, geometry, scale):
    pictures = x.reshape(-1, geometry.channels, *geometry.size)
    y = np.zeros((len(pictures), geometry.channels, *geometry.out), x.dtype)
    for place in _places(pictures, geometry):
        y += place
    if scale != 1:
        y *= x.dtype.type(scale)
    return y.reshape(*x.shape[:2], -1)


def sum_pool_backward(dy, geometry, scale):
    shape, dy = dy.shape[:2], dy.reshape(-1, geometry.channels, *geometry.out)
    dy = dy if scale == 1 else dy * dy.dtype.type(scale)
    dx = np.zeros((len(dy), geometry.channels, *geometry.size), dy.dtype)
    for place in _places(dx, geometry):
        place += dy
    return dx.reshape(*shape, -1)


def _values(x, dtype):
    x = x.dense(dtype) if isinstance(x, Spikes) else x
    return x.reshape(-1, x.shape[2])


def population_forward(dynamics, x, start, recurrent, want):
    model, (steps, batch), shape, dtype = dynamics.model, x[0].shape[:2], x[0].shape, x[0].dtype
    f = _functions(dynamics, dtype)
    active = valid_steps(steps, batch, start.lengths)
    state, last = model.State(*(a.copy() for a in start.state)), None if start.last is None else start.last.copy()
    hand_out = set(want.fields) | ({"spike"} if want.events else set()) | ({dynamics.recur} if want.tape else set())
    out = model.Out(*(np.zeros(shape, dtype) if name in hand_out else None for name in model.Out._fields))
    states = model.State(*(np.empty(shape, dtype) if want.tape else None for _ in model.State._fields))
    for t in range(steps):
        if recurrent is not None:
            for g, name in enumerate(model.recurrent):
                if name != model.second:
                    _recur(getattr(x, name)[t], recurrent, g, last)
            if model.second:
                middle = model.between(gather(x, t), state, start.coefficients, f)
                _recur(getattr(x, model.second)[t], recurrent, model.recurrent.index(model.second), middle)
        on = active[t]
        scatter(states, t, state)
        o, new = model.step(gather(x, t), state, start.coefficients, f)
        scatter(out, t, type(o)(*(np.where(on, a, 0) for a in o)))
        state = type(state)(*(np.where(on, a, b) for a, b in zip(new, state, strict=True)))
        if recurrent is not None:
            last = np.where(on, getattr(o, dynamics.recur), last)
    events = Spikes.from_dense(out.spike) if want.events else None
    tape = Tape(x, states, start, None, getattr(out, dynamics.recur) if dynamics.recur else None) if want.tape else None
    kept = model.Out(*(a if name in want.fields else None for name, a in zip(model.Out._fields, out, strict=True)))
    return Run(kept, events, state, last, tape)


def _recur(current, recurrent, g, values):
    """current += bias + values V, of one of the currents that the recurrence feeds."""
    current += 0 if recurrent.bias is None else recurrent.bias[g]
    add_rows(current, recurrent.weight[g], values)


def population_backward(dynamics, tape, recurrent, gradients: Gradients, learn):
    model, (steps, batch, units) = dynamics.model, tape.current[0].shape
    dtype, start = tape.current[0].dtype, tape.start
    f = _functions(dynamics, dtype)
    active = valid_steps(steps, batch, start.lengths)
    dx, dstate, dlast = type(tape.current)(*map(np.empty_like, tape.current)), gradients.state, gradients.last
    recurring = [getattr(dx, name) for name in model.recurrent]
    dparams = model.Params(*(np.zeros(units, dtype) if name in learn else None for name in model.Params._fields))
    dweight = None if recurrent is None else tuple(map(np.zeros_like, recurrent.weight))
    dbias = None if recurrent is None or recurrent.bias is None else tuple(map(np.zeros_like, recurrent.bias))
    for t in reversed(range(steps)):
        on = active[t]
        from_recurrence = model.Out(*(dlast[None] if name == dynamics.recur and dlast is not None else None
                                      for name in model.Out._fields))
        dout = gather_sum(gradients.out, t, from_recurrence, 0)
        dinputs, dbefore, dp = model.step_adjoint(gather(tape.current, t), gather(tape.states, t),
                                                  start.coefficients, f, dout, dstate)
        taken = dict.fromkeys(model.recurrent, None if recurrent is None else tape.values[t - 1] if t > 0 else start.last)
        if recurrent is not None and model.second:
            inputs, state = gather(tape.current, t), gather(tape.states, t)
            taken[model.second] = np.where(on, model.between(inputs, state, start.coefficients, f), 0)
            d = getattr(dinputs, model.second) @ recurrent.weight[model.recurrent.index(model.second)].T
            more = model.between_adjoint(inputs, state, start.coefficients, f, d)
            dinputs, dbefore, dp = (type(a)(*(v + w for v, w in zip(a, b, strict=True))) for a, b in zip((dinputs, dbefore, dp), more, strict=True))
        scatter(dx, t, type(dx)(*(np.where(on, d, 0) for d in dinputs)))
        dstate = type(dstate)(*(np.where(on, a, b) for a, b in zip(dbefore, dstate, strict=True)))
        for total, d in zip(dparams, dp, strict=True):
            if total is not None:
                total += np.where(on, d, 0).sum(0)
        if recurrent is not None:
            for g, (name, d) in enumerate(zip(model.recurrent, recurring, strict=True)):
                dweight[g][...] += taken[name].T @ d[t]
                if dbias is not None:
                    dbias[g][...] += d[t].sum(0)
            dlast = np.where(on, sum(d[t] @ w.T for name, d, w in zip(model.recurrent, recurring, recurrent.weight, strict=True)
                                     if name != model.second), dlast)
    return PopulationGradients(dx, dstate, dlast, dparams, dweight, dbias)


def _functions(dynamics, dtype):
    s = dynamics.surrogate
    return Functions(s.spike, s.slope, s.typed(dtype), dynamics.activation.value, dynamics.activation.slope)


def softmax(x):
    z = exp(x - x.max(-1, keepdims=True))
    return z / np.add.accumulate(z, -1)[..., -1:]


def sum_over_time(start, z, counted):
    return np.add.accumulate(np.concatenate((start[None], np.where(counted, z, z.dtype.type(0)))), 0)[-1]


over_time_forward = partial(_over_time_forward, softmax=softmax, sum_over_time=sum_over_time)


def put(a):
    return a


send = put


def finish():
    """All is done when a function returns."""


def busy(run):
    return None


def name():
    return platform.machine()


def holds(a):
    return False


def square_sums(arrays):
    return [float(np.vdot(a, a)) for a in (a.astype(np.float64) for a in arrays)]


def parted(a, n):
    return (a,) if a.shape[-1] == n else tuple(np.ascontiguousarray(a[..., first:first + n]) for first in range(0, a.shape[-1], n))


def beside(parts):
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def joined(parts):
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def finite(arrays):
    return [bool(np.isfinite(a).all()) for a in arrays]


def refusal(dynamics, units, dtype):
    return ""


def update(rule, p, g, slots, k):
    p[...], after = rule(p, g, slots, k)
    for slot, values in zip(slots, after, strict=True):
        slot[...] = values


def softmax_cross_entropy(y, labels, weights):
    shifted = y - y.max(1, keepdims=True)
    p = np.exp(shifted)
    total = p.sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = float(weights @ (np.log(total[:, 0]).astype(np.float64) - shifted[rows, labels]))
    p /= total
    p[rows, labels] -= 1
    p *= weights.astype(y.dtype)[:, None]
    return loss, p



__all__ = ["CHUNKED", "HOST", "STEPS", "activation_backward", "activation_forward", "batch_norm_backward", "batch_norm_forward", "beside", "busy", "conv_backward",
           "conv_forward", "dense_backward", "dense_forward", "finish", "finite", "held", "holds", "joined", "layer_norm_backward", "layer_norm_forward",
           "max_pool_backward", "max_pool_forward", "name", "one_thread", "over_time_backward", "over_time_forward", "parted", "population_backward", "population_forward",
           "put", "random_factors", "refusal", "send", "softmax", "softmax_cross_entropy", "square_sums", "sum_pool_backward", "sum_pool_forward", "times",
           "update", "zeros"]

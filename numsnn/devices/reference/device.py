"""The reference device: NumPy only, one Python loop over time, written to be read.  Numba is not needed.

Populations, and dense layers, give the same bits as the compiled loops in the forward pass, because both run
the same elementwise functions and sum over ascending inputs with one accumulator per output.
"""

import platform
from collections.abc import Callable, Sequence
from contextlib import nullcontext as one_thread
from functools import partial
from typing import Any

import numpy as np
from numpy import zeros
from numpy.typing import DTypeLike

from ...neurons.elementwise import exp
from ...signals.spikes import Spikes
from ..buffers import held
from ..contract import Dynamics, Geometry
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
from .population import population_backward, population_forward
from .rate_band import rate_band
from .rows import add_rows
from .steps import reordered, sum_steps
from .totals import euclidean, finite, norm_and_squares, square_sums

HOST = True         # arrays are NumPy's
CHUNKED = False     # a batch goes through the layers as a whole
STEPS = False


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


eligibility_forward = partial(_eligibility_forward, population_forward)


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


def later(names: Sequence[str], arrays: Sequence[Any], make: Callable) -> dict[str, Any]:
    return make(*arrays)


def arrived(loss: float, grads: dict[str, Any]) -> tuple[float, dict[str, Any], None]:
    return loss, grads, None


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


__all__ = ["CHUNKED", "HOST", "STEPS", "activation_backward", "activation_forward", "arrived",
           "batch_norm_backward", "batch_norm_forward", "beside", "busy", "conv_backward", "conv_forward",
           "delay_backward", "delay_forward", "delay_spikes", "dense_backward", "dense_forward",
           "eligibility_forward", "eligibility_step", "euclidean", "finish", "finite", "held", "holds",
           "joined", "lagged_backward", "lagged_forward", "later", "layer_norm_backward",
           "layer_norm_forward", "max_pool_backward", "max_pool_forward", "name", "norm_and_squares",
           "one_thread", "over_time_backward", "over_time_forward", "parted", "population_backward",
           "population_forward", "put", "random_factors", "rate_band", "refusal", "reordered", "send",
           "softmax", "softmax_cross_entropy", "square_sums", "sum_pool_backward", "sum_pool_forward",
           "sum_steps", "ternary_backward", "ternary_forward", "times", "update", "zeros"]

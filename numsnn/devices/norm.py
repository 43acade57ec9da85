"""Normalisation in NumPy, shared by the devices of the host (see contract.py).

`valid` is (T, B): whether a step is one, None where all are.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .contract import valid_steps


class Norming(NamedTuple):
    """What BatchNorm makes of a channel before gain and bias.

    The standard deviation is `spread` where the variance is far above eps.
    """
    eps: float
    spread: float


class Moments(NamedTuple):
    """Of each channel (C,)."""
    mean: np.ndarray
    var: np.ndarray             # biased


class Whole(NamedTuple):
    """The batch of which these samples are, all or some.

    total: sums of samples (B, K) -> those of the whole batch (K,).  n: values of each channel in it.
    """
    total: Callable[[np.ndarray], np.ndarray]
    n: int


def values_of_each(shape: tuple[int, int, int], lengths: np.ndarray | None, channels: int) -> int:
    """How many values a channel has in the valid steps of a sequence of this shape (T, B, N)."""
    steps, batch, n = shape
    rows = steps * batch if lengths is None else int(np.minimum(lengths, steps).sum())
    return rows * (n // channels)


def batch_norm_forward(
        norming: Norming, x: np.ndarray, gain: np.ndarray, bias: np.ndarray, running: Moments | None,
        lengths: np.ndarray | None, tape: bool, whole: Whole) -> tuple[np.ndarray, Moments | None, Any]:
    """Each channel by the moments `running`, or by those of the whole batch."""
    valid = _padding(x, lengths)
    rows = _rows(x, valid, len(gain))
    shape = x.shape[0], x.shape[1], len(gain)
    if running is None:
        mean = whole.total(_sums(rows, shape, valid)) / whole.n
        rows -= _column(mean, gain)
        moments = Moments(mean, whole.total(_sums(rows, shape, valid, rows)) / whole.n)
    else:
        rows -= _column(running.mean, gain)
        moments = running
    factor = _column(gain * _scale(norming, moments.var), gain)
    y = np.multiply(rows, factor, out=None if tape else rows)
    y += _column(bias, gain)
    own = None if moments is running else moments
    return _spread(y, valid, x), own, (rows, moments.var, valid, whole) if tape else None


def batch_norm_backward(
        norming: Norming, tape: Any, gain: np.ndarray, dy: np.ndarray,
        want_dx: bool) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx = gain scale (dy - mean of dy - centred (mean of dy centred) / (v + eps))"""
    centred, var, valid, whole = tape
    n = max(1, whole.n)
    scale = _scale(norming, var)
    d = _rows(dy, valid, len(gain))
    shape = dy.shape[0], dy.shape[1], len(gain)
    both = whole.total(np.concatenate([_sums(d, shape, valid), _sums(d, shape, valid, centred)], 1))
    dbias, along = np.split(both, 2)
    dgain = (scale * along).astype(gain.dtype)
    if not want_dx:
        return None, dgain, dbias.astype(gain.dtype)
    dx = centred * _column(-along / (n * (var + norming.eps)), gain)
    dx += d
    dx -= _column(dbias / n, gain)
    dx *= _column(gain * scale, gain)
    return _spread(dx, valid, dy), dgain, dbias.astype(gain.dtype)


def _padding(x, lengths):
    if lengths is None or (lengths >= len(x)).all():
        return None
    return valid_steps(*x.shape[:2], lengths)[..., 0]


def _rows(x, valid, channels):
    """The valid steps as (R, C, places)."""
    return (x if valid is None else x[valid]).reshape(-1, channels, x.shape[2] // channels)


def _spread(rows, valid, like):
    """Rows of the valid steps in their places among zeros."""
    if valid is None:
        return rows.reshape(like.shape)
    y = np.zeros(like.shape, rows.dtype)
    y[valid] = rows.reshape(-1, like.shape[2])
    return y


def _column(a, like):
    """One value per channel, to go with rows, in the working precision."""
    return a.astype(like.dtype)[:, None]


def _scale(norming, var):
    return norming.spread / np.sqrt(var.astype(np.float64) + norming.eps)


def _sums(rows, shape, valid, times=None):
    """Sums of rows, or of rows * times, over places and the steps of each sample: (B, C); shape: (T, B, C).

    In float64, of sums over the places of a row in the working precision.  Step by step, so that the sum of
    a sample does not depend on which others there are.
    """
    of_rows = rows.sum(2) if times is None else np.einsum("rcp,rcp->rc", rows, times)
    if valid is not None:
        spread = np.zeros(shape, of_rows.dtype)
        spread[valid] = of_rows
        of_rows = spread
    sums = np.zeros(shape[1:])
    for step in of_rows.reshape(shape):
        sums += step
    return sums


def layer_norm_forward(
        x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float,
        tape: bool) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """(y, what the backward pass needs): each step to mean 0 and variance 1 over axis 2."""
    centred = x - x.mean(2, keepdims=True)
    var = (centred * centred).mean(2, keepdims=True)
    scale = 1 / np.sqrt(var + gain.dtype.type(eps))
    centred *= scale
    normal = centred
    return normal * _wide(gain, x) + _wide(bias, x), (normal, scale) if tape else None


def layer_norm_backward(
        tape: tuple[np.ndarray, np.ndarray], gain: np.ndarray, dy: np.ndarray,
        want_dx: bool) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx = scale (d - mean of d - normal (mean of d normal)), d = gain dy"""
    normal, scale = tape
    others = (0, 1, 3)[:dy.ndim - 1]
    dgain, dbias = (dy * normal).sum(others), dy.sum(others)
    if not want_dx:
        return None, dgain, dbias
    d = dy * _wide(gain, dy)
    along = (d * normal).mean(2, keepdims=True)
    dx = scale * (d - d.mean(2, keepdims=True) - normal * along)
    return dx, dgain, dbias


def _wide(a, like):
    """One value per feature, to go with (T, B, C) or (T, B, C, places)."""
    return a.reshape(-1, *(1 for _ in like.shape[3:]))


__all__ = ["Moments", "Norming", "Whole", "batch_norm_backward", "batch_norm_forward", "layer_norm_backward",
           "layer_norm_forward", "values_of_each"]

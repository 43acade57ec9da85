"""Normalisation in NumPy, shared by the devices of the host (see contract.py).

`valid` is (T, B): whether a step is one, None where all are.
"""

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


def values_of_each(shape: tuple[int, int, int], lengths: np.ndarray | None, channels: int) -> int:
    """How many values a channel has in the valid steps of a sequence of this shape (T, B, N)."""
    steps, batch, n = shape
    rows = steps * batch if lengths is None else int(np.minimum(lengths, steps).sum())
    return rows * (n // channels)


def batch_norm_forward(
        norming: Norming, x: np.ndarray, gain: np.ndarray, bias: np.ndarray, running: Moments | None,
        lengths: np.ndarray | None, tape: bool) -> tuple[np.ndarray, Moments | None, Any]:
    """Each channel by the moments `running`, or by its own."""
    valid = _padding(x, lengths)
    rows = _rows(x, valid, len(gain))
    if running is None:
        n = rows.shape[0] * rows.shape[2]
        mean = _sums(rows) / n
        rows -= _column(mean, gain)
        moments = Moments(mean, _sums(rows, rows) / n)
    else:
        rows -= _column(running.mean, gain)
        moments = running
    factor = _column(gain * _scale(norming, moments.var), gain)
    y = np.multiply(rows, factor, out=None if tape else rows)
    y += _column(bias, gain)
    own = None if moments is running else moments
    return _spread(y, valid, x), own, (rows, moments.var, valid) if tape else None


def batch_norm_backward(
        norming: Norming, tape: Any, gain: np.ndarray, dy: np.ndarray,
        want_dx: bool) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx = gain scale (dy - mean of dy - centred (mean of dy centred) / (v + eps))"""
    centred, var, valid = tape
    n = max(1, centred.shape[0] * centred.shape[2])
    scale = _scale(norming, var)
    d = _rows(dy, valid, len(gain))
    dbias, along = _sums(d), _sums(d, centred)
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


def _sums(rows, times=None):
    """Sum of rows, or of rows * times, over rows and places: (C,).

    In float64, of sums over the places of a row in the working precision.
    """
    of_rows = rows.sum(2) if times is None else np.einsum("rcp,rcp->rc", rows, times)
    return of_rows.sum(0, dtype=np.float64)


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


__all__ = ["Moments", "Norming", "batch_norm_backward", "batch_norm_forward", "layer_norm_backward",
           "layer_norm_forward", "values_of_each"]

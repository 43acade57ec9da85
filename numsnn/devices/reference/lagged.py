"""Dense layers with delays in NumPy (see contract.py).

`sums` (T + most, B, M) holds what every step gets: the first T rows are handed out, the `most` rows from the
end of a sample on are what goes on.
"""

import numpy as np

from ...signals.spikes import Spikes
from ..contract import Lagged, valid_steps


def lagged_forward(
        lagged: Lagged, x: Spikes | np.ndarray, coming: np.ndarray,
        lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Step by step, input by input; see contract.py."""
    steps, most = len(x), lagged.most
    values = valid_values(x, lengths, coming.dtype)
    sums = np.zeros((steps + most, *coming.swapaxes(0, 1).shape[1:]), coming.dtype)
    sums[:most] = coming.swapaxes(0, 1)
    for t in range(steps):
        for i in np.flatnonzero(values[t].any(0)):
            samples = np.flatnonzero(values[t, :, i])
            _add(sums[t:t + most + 1], lagged, i, samples, values[t, samples, i])
    return sums[:steps] + lagged.bias, sums[after(coming, steps, lengths)]


def _add(window, lagged, i, samples, values):
    """What input i gives to the steps of a window, (most + 1, B, M)."""
    if lagged.lag is None:
        window[:, samples] += values[:, None] * lagged.weight[i][:, None]
        return
    outputs = np.arange(window.shape[2])
    for lag, weight in zip(lagged.lag[:, i], lagged.weight[:, i], strict=True):
        window[lag, samples[:, None], outputs] += values[:, None] * weight


def lagged_backward(
        lagged: Lagged, x: Spikes | np.ndarray, dy: np.ndarray, dcoming: np.ndarray,
        lengths: np.ndarray | None,
        want_dx: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """A product for each lag; see contract.py."""
    values = valid_values(x, lengths, dy.dtype)
    dsums = sums_gradient(dy, dcoming, lengths)
    dweight = np.zeros_like(lagged.weight)
    dx = np.zeros(x.shape, dy.dtype) if want_dx else None
    for k in range(lagged.most + 1):
        of_lag = dsums[k:k + len(dy)]           # what the steps gave to those k later
        whole = np.tensordot(values, of_lag, ((0, 1), (0, 1)))
        if lagged.lag is None:
            dweight[:, k] = whole
            weight = lagged.weight[:, k]
        else:
            here = lagged.lag == k
            dweight += here * whole
            weight = (here * lagged.weight).sum(0)
        if dx is not None:
            dx += of_lag @ weight.T
    if dx is not None:
        dx *= valid_steps(len(dy), dy.shape[1], lengths)
    return dweight, dy.sum((0, 1)), before(dsums, lagged.most), dx


# ---- what devices of the host share


def valid_values(x, lengths, dtype):
    """x as an array of zeros where samples have no step."""
    values = x.dense(dtype) if isinstance(x, Spikes) else x
    return values if lengths is None else values * valid_steps(*x.shape[:2], lengths).astype(dtype)


def after(coming: np.ndarray, steps: int, lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Where in `sums` the currents lie that go on, (B, most)."""
    batch, most, _ = coming.shape
    end = np.full(batch, steps) if lengths is None else lengths
    return end[:, None] + np.arange(most), np.arange(batch)[:, None]


def sums_gradient(dy: np.ndarray, dcoming: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """The gradient of `sums` from those of what is handed out and of what goes on."""
    most = dcoming.shape[1]
    dsums = np.concatenate((dy, np.zeros((most, *dy.shape[1:]), dy.dtype)))
    dsums[after(dcoming, len(dy), lengths)] += dcoming
    return dsums


def before(dsums: np.ndarray, most: int) -> np.ndarray:
    """The gradient of the currents with which a sequence began."""
    return np.ascontiguousarray(dsums[:most].swapaxes(0, 1))


__all__ = ["after", "before", "lagged_backward", "lagged_forward", "sums_gradient", "valid_values"]

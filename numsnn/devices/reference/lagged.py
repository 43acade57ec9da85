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
        add_step(sums[t:t + most + 1], lagged, values[t])
    return sums[:steps] + lagged.bias, sums[after(coming, steps, lengths)]


def add_step(window: np.ndarray, lagged: Lagged, values: np.ndarray) -> None:
    """What the values (B, N) of a step give to a window (most + 1, B, M) of steps, input by input."""
    outputs = np.arange(window.shape[2])
    for i in np.flatnonzero(values.any(0)):
        samples = np.flatnonzero(values[:, i])
        given = values[samples, i]
        if lagged.lag is None:
            window[:, samples] += given[:, None] * lagged.weight[i][:, None]
            continue
        for lag, weight in zip(lagged.lag[:, i], lagged.weight[:, i], strict=True):
            window[lag, samples[:, None], outputs] += given[:, None] * weight


def lagged_backward(
        lagged: Lagged, x: Spikes | np.ndarray, dy: np.ndarray, dcoming: np.ndarray,
        lengths: np.ndarray | None,
        want_dx: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """A product for each lag; see contract.py."""
    values = valid_values(x, lengths, dy.dtype)
    dsums = sums_gradient(dy, dcoming, lengths)
    dx = None
    if want_dx:
        dx = np.zeros(x.shape, dy.dtype)
        for k in range(lagged.most + 1):
            dx += dsums[k:k + len(dy)] @ of_lag(lagged, k).T
        dx *= valid_steps(len(dy), dy.shape[1], lengths)
    return weight_gradient(lagged, values, dsums), dy.sum((0, 1)), before(dsums, lagged.most), dx


def of_lag(lagged: Lagged, k: int) -> np.ndarray:
    """The weights of lag k, (N, M)."""
    if lagged.lag is None:
        return lagged.weight[:, k]
    return ((lagged.lag == k) * lagged.weight).sum(0)


def weight_gradient(lagged: Lagged, values: np.ndarray, dsums: np.ndarray) -> np.ndarray:
    """From what went in, (T, B, N), and from the gradient of what the steps t ... t + most got of step t."""
    dweight = np.zeros_like(lagged.weight)
    for k in range(lagged.most + 1):
        whole = np.tensordot(values, dsums[k:k + len(values)], ((0, 1), (0, 1)))
        if lagged.lag is None:
            dweight[:, k] = whole
        else:
            dweight += (lagged.lag == k) * whole
    return dweight


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


__all__ = ["add_step", "after", "before", "lagged_backward", "lagged_forward", "of_lag", "sums_gradient",
           "valid_values", "weight_gradient"]

"""`Loss`: what all losses have in common; the normalisation is described in numsnn.loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked
from ..devices import buffers
from ..devices.contract import valid_steps
from ..signals.arrays import TIME_FIRST, checked_lengths, checked_mask, plain


class Loss:
    """Base: a loss defines `rows`, and `targets` where it does not take labels."""

    by_chunks = True        # whether a batch may come in parts, whose losses are added

    @checked
    def __init__(self, steps: str = "sum"):
        if steps not in ("sum", "mean"):
            raise ValueError(f"{type(self).__name__}: steps must be 'sum' or 'mean'; got {steps!r}")
        self.steps = steps

    def __call__(self, y: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None,
                 lengths: ArrayLike | None = None) -> tuple[float, np.ndarray]:
        y = plain(y, f"{type(self).__name__}: y")
        if y.dtype not in (np.float32, np.float64):
            y = y.astype(np.float32 if y.dtype == np.float16 else np.float64)       # a gradient is no integer
        y = y.astype(y.dtype.newbyteorder("="), copy=False)
        if not np.isfinite(y).all():
            raise ValueError(f"{type(self).__name__}: y must be finite; got {y[~np.isfinite(y)].flat[0]}")
        labels, weights = self.check(y.shape, labels, mask, lengths)
        loss, dy = self.weighted(y, labels, weights)
        if not np.isfinite(loss):
            largest = np.abs(y).max()
            raise ValueError(f"{type(self).__name__}: the loss of answers up to {largest:.3g} is {loss}")
        return loss, dy

    @property
    def by_loops(self) -> bool:
        """Whether `rows` calls functions of the device only, so that y may lie there; else it sees a copy."""
        return False

    def rows(self, y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """(loss, dy) of rows (R, C), with weights (R,)."""
        raise TypeError(f"{type(self).__name__} does not define rows(y, targets, weights)")

    def weighted(self, y: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss of y (or of a part of a batch) with weights from `check`."""
        rows = (y if self.by_loops else np.asarray(y)).reshape(-1, y.shape[-1])
        targets = labels.reshape(-1) if labels.ndim < y.ndim else labels.reshape(rows.shape)
        weights = np.ascontiguousarray(weights).reshape(-1)
        loss, dy = self.rows(buffers.contiguous(rows), np.ascontiguousarray(targets), weights)
        if dy.shape != rows.shape:
            raise ValueError(f"{type(self).__name__}.rows must return a gradient of y's shape {rows.shape}; "
                             f"got {dy.shape}")
        return loss, dy.reshape(y.shape)

    @checked
    def check(self, shape: Sequence[int], labels: ArrayLike, mask: ArrayLike | None = None,
              lengths: ArrayLike | None = None) -> tuple[np.ndarray, Any]:
        """(labels, weights) for an answer of this shape; labels (B,) or (T, B), weights alike, float64."""
        name = type(self).__name__
        shape = tuple(shape)
        self._check_answer(name, shape)
        labels = self.targets(plain(labels, f"{name}: labels"), shape)
        batch = shape[-2]
        if len(shape) == 2:
            if mask is not None:
                raise ValueError(f"{name}: mask is for a decision per step, y (T, B, C); y is {shape}")
            return labels, np.full(batch, 1 / batch)
        if lengths is not None:
            lengths = checked_lengths(lengths, batch, shape[0], f"{name}: lengths")
        weights = valid_steps(shape[0], batch, lengths)[..., 0].astype(np.float64)
        if mask is not None:
            weights *= checked_mask(mask, shape[:2])
        if self.steps == "mean":
            weights /= np.maximum(weights.sum(0), 1)
        return labels, weights / batch

    @staticmethod
    def _check_answer(name, shape):
        if len(shape) not in (2, 3):
            raise ValueError(f"{name}: expected y (B, C), or (T, B, C) for a decision per step; "
                             f"got shape {shape}")
        if not shape[-2]:
            raise ValueError(f"{name}: a batch of no samples has no loss, which is a mean over samples")

    def targets(self, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """What `rows` compares an answer of this shape with; here labels of classes."""
        if labels.shape != shape[:-1] or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{type(self).__name__}: expected integer labels of shape {shape[:-1]} "
                             f"for y {shape}; got {labels.dtype} of shape {labels.shape}"
                             f"{self.hint(labels.shape, shape)}")
        if labels.size and (labels.min() < 0 or labels.max() >= shape[-1]):
            raise ValueError(f"{type(self).__name__}: labels must lie in 0 ... {shape[-1] - 1} "
                             f"for {shape[-1]} outputs; got {labels.min()} ... {labels.max()}")
        return labels.astype(np.int64)

    @staticmethod
    def hint(given: tuple[int, ...], shape: tuple[int, ...]) -> str:
        """What may be meant by labels or targets of the shape `given` for an answer of this shape."""
        of_numbers = "targets of the losses of regression, MSE, MAE, Huber, Cosine"
        per_step = len(shape) == 3
        if per_step and given[:2] == shape[1::-1]:
            return f". {TIME_FIRST}"
        if per_step and given[:1] == shape[1:2]:
            return '. The network answers at each step; for one a sequence end it with OverTime("mean")'
        if not per_step and given[1:2] == shape[:1]:
            return ". The network answers once a sequence: for labels per step it ends without OverTime"
        if given == shape[:-1]:
            return f". Labels of classes are integers; floats are {of_numbers}"
        if given == shape:
            return f". One-hot labels are labels.argmax(-1); other arrays of y's shape are {of_numbers}"
        return ""

    def config(self) -> dict[str, Any]:
        return {"loss": type(self).__name__, "steps": self.steps}

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.config().items() if key != "loss")
        return f"{type(self).__name__}({settings})"


def squares(y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """(sum over rows of weights[r] sum_c (y - target)^2, its gradient)."""
    difference = y - targets.astype(y.dtype)
    scale = weights[:, None]
    loss = float((scale * difference.astype(np.float64) ** 2).sum())
    return loss, (2 * scale * difference).astype(y.dtype)

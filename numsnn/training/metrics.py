"""Metrics of classification: accuracy, confusion matrix, precision, recall, F1; and of regression: mean
square and absolute error, R2, correlation."""

from __future__ import annotations

import numpy as np

from ..checked import checked, in_range
from ..signals.arrays import checked_mask, plain
from ..signals.integers import whole


def _counted(labels, predicted, mask):
    labels, predicted = plain(labels, "labels"), plain(predicted, "predictions")
    mask_shape = None if mask is None else np.shape(mask)
    if labels.shape != predicted.shape or mask_shape not in (None, labels.shape):
        raise ValueError(f"labels {labels.shape}, predictions {predicted.shape} and mask {mask_shape} "
                         f"must have one shape")
    if mask is None:
        return labels.ravel(), predicted.ravel()
    counts = checked_mask(mask, labels.shape)
    return labels[counts], predicted[counts]


@checked
def accuracy(labels: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Share of right predictions among those that `mask` counts; NaN where it counts none."""
    labels, predicted = _counted(labels, predicted, mask)
    return float((labels == predicted).mean()) if labels.size else float("nan")


@checked
def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, n_classes: int,
                     mask: np.ndarray | None = None) -> np.ndarray:
    """(n, n) counts: row the true class, column the predicted one."""
    labels, predicted = _counted(labels, predicted, mask)
    n_classes = whole("n_classes", n_classes, 1)
    in_range(1, 1 << 14, n_classes=n_classes)
    for what, a in (("labels", labels), ("predictions", predicted)):
        if a.size and (a.dtype.kind not in "iu" or a.min() < 0 or a.max() >= n_classes):
            raise ValueError(f"{what} of {n_classes} classes must be integers, 0 ... {n_classes - 1}; "
                             f"got {a.dtype}, {a.min()} ... {a.max()}")
    pairs = labels.astype(np.int64) * n_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=n_classes ** 2).reshape(n_classes, n_classes)


@checked
def scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class from a confusion matrix; 0 where a class never occurs."""
    confusion = np.asarray(confusion, np.float64)
    if confusion.ndim != 2 or len(set(confusion.shape)) != 1:
        raise ValueError(f"scores: expected a confusion matrix (C, C); got shape {confusion.shape}")
    right = np.diag(confusion)
    true = confusion.sum(1)
    said = confusion.sum(0)

    def divide(a, b):
        return np.divide(a, b, out=np.zeros_like(right), where=b > 0)

    return {"precision": divide(right, said), "recall": divide(right, true),
            "f1": divide(2 * right, true + said)}


@checked
def regression(targets: np.ndarray, predicted: np.ndarray,
               mask: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """"mse", "mae", "r2" and "correlation" (Pearson's), each (K,), of targets (B, K) or (T, B, K).

    mask: (T, B) steps that count.  r2 = 1 - sum (y - target)^2 / sum (target - mean)^2; it, and the
    correlation, are NaN where the targets do not vary, the correlation where the predictions do not.
    """
    targets = plain(targets, "targets").astype(np.float64)
    predicted = plain(predicted, "predictions").astype(np.float64)
    if targets.shape != predicted.shape or targets.ndim < 2:
        raise ValueError(f"targets and predictions must have one shape (B, K) or (T, B, K); "
                         f"got {targets.shape} and {predicted.shape}")
    shape = targets.shape[:-1]
    counts = np.ones(shape, bool) if mask is None else checked_mask(mask, shape)
    t, y = targets[counts], predicted[counts]
    if not len(t):
        return dict.fromkeys(("mse", "mae", "r2", "correlation"), np.full(t.shape[1], np.nan))
    error = y - t
    square = (error ** 2).mean(0)
    of_t, of_y = t - t.mean(0), y - y.mean(0)
    variance, spread = (of_t ** 2).mean(0), np.sqrt((of_t ** 2).mean(0) * (of_y ** 2).mean(0))
    return {"mse": square, "mae": np.abs(error).mean(0), "r2": 1 - _ratio(square, variance),
            "correlation": _ratio((of_t * of_y).mean(0), spread)}


def _ratio(a, b):
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0)

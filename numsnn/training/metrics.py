"""Metrics of classification: accuracy, confusion matrix, precision, recall, F1."""

from __future__ import annotations

import numpy as np


def _counted(labels, predicted, mask):
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    mask_shape = None if mask is None else np.shape(mask)
    if labels.shape != predicted.shape or mask_shape not in (None, labels.shape):
        raise ValueError(f"labels {labels.shape}, predictions {predicted.shape} and mask {mask_shape} "
                         f"must have one shape")
    if mask is None:
        return labels.ravel(), predicted.ravel()
    counts = np.asarray(mask, bool)
    return labels[counts], predicted[counts]


def accuracy(labels: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Share of right predictions among those that `mask` counts; NaN where it counts none."""
    labels, predicted = _counted(labels, predicted, mask)
    return float((labels == predicted).mean()) if labels.size else float("nan")


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, n_classes: int,
                     mask: np.ndarray | None = None) -> np.ndarray:
    """(n, n) counts: row the true class, column the predicted one."""
    labels, predicted = _counted(labels, predicted, mask)
    pairs = labels * n_classes + predicted
    return np.bincount(pairs, minlength=n_classes ** 2).reshape(n_classes, n_classes)


def scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class from a confusion matrix; 0 where a class never occurs."""
    confusion = np.asarray(confusion, np.float64)
    right = np.diag(confusion)
    true = confusion.sum(1)
    said = confusion.sum(0)

    def divide(a, b):
        return np.divide(a, b, out=np.zeros_like(right), where=b > 0)

    return {"precision": divide(right, said), "recall": divide(right, true),
            "f1": divide(2 * right, true + said)}

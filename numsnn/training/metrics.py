"""Metrics of classification: accuracy, confusion matrix, precision, recall, F1."""

import numpy as np


def _counted(labels, predicted, mask):
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.shape != predicted.shape or mask is not None and np.shape(mask) != labels.shape:
        raise ValueError(f"labels {labels.shape}, predictions {predicted.shape} and mask {np.shape(mask) if mask is not None else None} "
                         f"must have one shape")
    return (labels.ravel(), predicted.ravel()) if mask is None else (labels[np.asarray(mask, bool)], predicted[np.asarray(mask, bool)])


def accuracy(labels, predicted, mask=None) -> float:
    """Share of right predictions among those that `mask` counts; NaN where it counts none."""
    labels, predicted = _counted(labels, predicted, mask)
    return float((labels == predicted).mean()) if labels.size else float("nan")


def confusion_matrix(labels, predicted, n_classes: int, mask=None) -> np.ndarray:
    """(n, n) counts: row the true class, column the predicted one."""
    labels, predicted = _counted(labels, predicted, mask)
    return np.bincount(labels * n_classes + predicted, minlength=n_classes ** 2).reshape(n_classes, n_classes)


def scores(confusion) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class from a confusion matrix; 0 where a class never occurs."""
    confusion = np.asarray(confusion, np.float64)
    right, true, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    divide = lambda a, b: np.divide(a, b, out=np.zeros_like(right), where=b > 0)
    return {"precision": divide(right, said), "recall": divide(right, true), "f1": divide(2 * right, true + said)}

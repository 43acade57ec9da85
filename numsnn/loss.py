"""Losses: they see a network's answer y, and give the loss and its gradient.

    loss, dy = CrossEntropy()(y, labels)

y is (B, C) with one label per sequence (labels (B,)), or (T, B, C) with one per step (labels (T, B)).  Every
loss is a weighted sum over rows, one row a sequence or a step:

    per sequence            weight 1 / B
    per step, steps="sum"   weight 1 / B: the sum over steps, the mean over the batch
    per step, steps="mean"  weight 1 / (B n_b), n_b the steps of sample b that count

Steps that `mask` (T, B) leaves out and padded steps (`lengths`) have weight 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import devices
from .devices import buffers
from .devices.contract import valid_steps


class Loss:
    """Base: a loss defines `rows`, and `targets` where it does not take labels."""

    def __init__(self, steps: str = "sum"):
        if steps not in ("sum", "mean"):
            raise ValueError(f"{type(self).__name__}: steps must be 'sum' or 'mean'; got {steps!r}")
        self.steps = steps

    def __call__(self, y: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None,
                 lengths: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        y = np.asarray(y)
        labels, weights = self.check(y.shape, labels, mask, lengths)
        return self.weighted(y, labels, weights)

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
        return loss, dy.reshape(y.shape)

    def check(self, shape: Sequence[int], labels: ArrayLike, mask: ArrayLike | None = None,
              lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(labels, weights) for an answer of this shape; labels (B,) or (T, B), weights alike, float64."""
        name = type(self).__name__
        if len(shape) not in (2, 3):
            raise ValueError(f"{name}: expected y (B, C), or (T, B, C) for a decision per step; "
                             f"got shape {shape}")
        labels = self.targets(np.asarray(labels), tuple(shape))
        batch = shape[-2]
        if len(shape) == 2:
            if mask is not None:
                raise ValueError(f"{name}: mask is for a decision per step, y (T, B, C); y is {shape}")
            return labels, np.full(batch, 1 / batch)
        weights = valid_steps(shape[0], batch, lengths)[..., 0].astype(np.float64)
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != tuple(shape[:2]):
                raise ValueError(f"{name}: expected a mask (T, B) = {tuple(shape[:2])}; "
                                 f"got shape {mask.shape}")
            weights *= mask
        if self.steps == "mean":
            weights /= np.maximum(weights.sum(0), 1)
        return labels, weights / batch

    def targets(self, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """What `rows` compares an answer of this shape with; here labels of classes."""
        if labels.shape != shape[:-1] or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{type(self).__name__}: expected integer labels of shape {shape[:-1]} "
                             f"for y {shape}; got {labels.dtype} of shape {labels.shape}")
        if labels.size and (labels.min() < 0 or labels.max() >= shape[-1]):
            raise ValueError(f"{type(self).__name__}: labels must lie in 0 ... {shape[-1] - 1} "
                             f"for {shape[-1]} outputs; got {labels.min()} ... {labels.max()}")
        return labels.astype(np.int64)

    def config(self) -> dict[str, Any]:
        return {"loss": type(self).__name__, "steps": self.steps}

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.config().items() if key != "loss")
        return f"{type(self).__name__}({settings})"


class CrossEntropy(Loss):
    """-log softmax(y)[label], the soft-max included; normalisation: see the module.

        L = w[label] * sum_c q_c * -log softmax(y)_c
        q = (1 - label_smoothing) one-hot + label_smoothing / C

    class_weights: (C,) w, None: 1.  The sum is not divided by them: weights with a mean of 1 keep the size
    of the loss.
    """

    def __init__(self, steps: str = "sum", *, label_smoothing: float = 0.0,
                 class_weights: ArrayLike | None = None):
        super().__init__(steps)
        if isinstance(label_smoothing, bool) or not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropy: label_smoothing must lie in 0 ... 1; got {label_smoothing!r}")
        self.label_smoothing = float(label_smoothing)
        self.class_weights: np.ndarray | None = None
        if class_weights is not None:
            w = np.array(class_weights, np.float64)
            if w.ndim != 1 or not (np.isfinite(w) & (w >= 0)).all():
                raise ValueError(f"CrossEntropy: class_weights must be finite numbers from 0 on, "
                                 f"one for each class; got {class_weights!r}")
            self.class_weights = w

    def targets(self, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if self.class_weights is not None and len(self.class_weights) != shape[-1]:
            raise ValueError(f"CrossEntropy: {len(self.class_weights)} class_weights for {shape[-1]} outputs")
        return super().targets(labels, shape)

    @property
    def by_loops(self) -> bool:
        return not self.label_smoothing

    def rows(self, y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """(loss, dy): the device's loops know nothing of smoothing, it is added to what they give."""
        if self.class_weights is not None:
            weights = weights * self.class_weights[targets]
        loss, dy = devices.of(y).softmax_cross_entropy(y, targets, weights)
        if self.label_smoothing:
            # -log p_c = log sum e^y - y_c, so that smoothing adds (y[label] - mean of y) times its share
            row = np.arange(len(y))
            share = self.label_smoothing * weights
            loss += float(share @ (y[row, targets] - y.mean(1, dtype=np.float64)))
            dy[row, targets] += share.astype(y.dtype)
            dy -= (share / y.shape[1]).astype(y.dtype)[:, None]
        return loss, dy

    def config(self) -> dict[str, Any]:
        class_weights = None if self.class_weights is None else self.class_weights.tolist()
        return {**super().config(), "label_smoothing": self.label_smoothing, "class_weights": class_weights}


class NLL(Loss):
    """-log y[label] of an answer that is made of probabilities, such as OverTime("mean", of="softmax")."""

    def rows(self, y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        row = np.arange(len(y))
        p = np.maximum(y[row, targets], np.finfo(y.dtype).tiny)
        dy = np.zeros_like(y)
        dy[row, targets] = -weights / p
        return float(-(weights @ np.log(p.astype(np.float64)))), dy


def _squares(y, targets, weights):
    """(sum over rows of weights[r] sum_c (y - target)^2, its gradient)."""
    difference = y - targets.astype(y.dtype)
    scale = weights[:, None]
    loss = float((scale * difference.astype(np.float64) ** 2).sum())
    return loss, (2 * scale * difference).astype(y.dtype)


class MSE(Loss):
    """Mean over outputs of (y - target)^2.

    Targets: an array of y's shape, or labels, which stand for one-hot targets.
    """

    def targets(self, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if labels.shape != shape:
            labels = np.eye(shape[-1])[super().targets(labels, shape)]
        if not np.isfinite(labels).all():
            raise ValueError("MSE: targets must be finite")
        return labels

    def rows(self, y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        return _squares(y, targets, weights / y.shape[1])


class SpikeCount(Loss):
    """So many spikes from the neuron of the labelled class, so many from the others:

        L = sum_c (y_c - target_c)^2,    target_c = correct where c is the label, else incorrect

    y: the number of spikes of each output neuron, the answer of a population that hands out spikes and
    OverTime("sum").  The sum over classes has neither 1/2 (SLAYER) nor 1 / C and 1 / T (snnTorch's
    mse_count_loss, whose rates are fractions of T): their losses are 1/2 and 1 / (C T) of this one for one
    sequence.

    correct, incorrect: numbers of spikes, 0 or more.
    Source: Shrestha & Orchard, SLAYER, NeurIPS 2018 (spike-count loss); snnTorch 1.0.
    """

    largest = np.inf
    unit = "numbers of spikes, 0 or more"

    def __init__(self, correct: float, incorrect: float, steps: str = "sum"):
        super().__init__(steps)
        for name, value in (("correct", correct), ("incorrect", incorrect)):
            number = not isinstance(value, (bool, str)) and np.ndim(value) == 0
            if not number or not 0 <= value <= self.largest or not np.isfinite(value):
                raise ValueError(f"{type(self).__name__}: correct and incorrect are {self.unit}; "
                                 f"got {name}={value!r}")
        self.correct = float(correct)
        self.incorrect = float(incorrect)

    def targets(self, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        of_label = np.eye(shape[-1], dtype=bool)[super().targets(labels, shape)]
        return np.where(of_label, self.correct, self.incorrect)

    def rows(self, y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        return _squares(y, targets, weights)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "correct": self.correct, "incorrect": self.incorrect}


class SpikeRate(SpikeCount):
    """As `SpikeCount`, for rates: y is the number of spikes per step, the answer of OverTime("mean").

    correct, incorrect: they lie in 0 ... 1.
    """

    largest = 1.0
    unit = "spikes per step, 0 ... 1"

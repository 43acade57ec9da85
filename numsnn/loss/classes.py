"""Losses of classes: what is compared with an answer are labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import devices
from ..checked import checked
from .base import Loss, squares


class CrossEntropy(Loss):
    """-log softmax(y)[label], the soft-max included; normalisation: see the module.

        L = w[label] * sum_c q_c * -log softmax(y)_c
        q = (1 - label_smoothing) one-hot + label_smoothing / C

    class_weights: (C,) w, None: 1.  The sum is not divided by them: weights with a mean of 1 keep the size
    of the loss.
    """

    @checked
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

    @checked
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
        return squares(y, targets, weights)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "correct": self.correct, "incorrect": self.incorrect}


class SpikeRate(SpikeCount):
    """As `SpikeCount`, for rates: y is the number of spikes per step, the answer of OverTime("mean").

    correct, incorrect: they lie in 0 ... 1.
    """

    largest = 1.0
    unit = "spikes per step, 0 ... 1"

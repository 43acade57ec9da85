"""Losses: they see a network's answer y, and give the loss and its gradient.

    loss, dy = CrossEntropy()(y, labels)

y is (B, C) with one label per sequence (labels (B,)), or (T, B, C) with one per step (labels (T, B)); the
losses of regression take targets of y's shape.  Every loss is a weighted sum over rows, one row a sequence or
a step:

    per sequence            weight 1 / B
    per step, steps="sum"   weight 1 / B: the sum over steps, the mean over the batch
    per step, steps="mean"  weight 1 / (B n_b), n_b the steps of sample b that count

Steps that `mask` (T, B) leaves out and padded steps (`lengths`) have weight 0.

A loss of one's own is a function (y, target) -> (value, dy), see `Own`; `ns.check_loss` proves its gradient.
"""

from .base import Loss
from .classes import NLL, CrossEntropy, SpikeCount, SpikeRate
from .own import Own, as_loss
from .regression import MAE, MSE, Cosine, Huber

__all__ = ["MAE", "MSE", "NLL", "Cosine", "CrossEntropy", "Huber", "Loss", "Own", "SpikeCount", "SpikeRate",
           "as_loss"]

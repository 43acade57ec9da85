"""Training: `fit`, `evaluate`, `predict`; regularisers, starting values, metrics, the gradient check."""

from . import init, metrics, regularise
from .anneal import AnnealDelays
from .diagnosis import Diagnosis, diagnose
from .gradcheck import GradientError, check_gradients, check_loss
from .train import (
    Evaluation,
    History,
    TrainingDiverged,
    TrainingWarning,
    evaluate,
    fit,
    predict,
    warm_up,
)

__all__ = ["AnnealDelays", "Diagnosis", "Evaluation", "GradientError", "History", "TrainingDiverged",
           "TrainingWarning", "check_gradients", "check_loss", "diagnose", "evaluate", "fit", "init",
           "metrics", "predict", "regularise", "warm_up"]

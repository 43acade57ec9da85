"""Optimisers and learning-rate schedules.

    optimizer.update(net.params, grads)          one step, in place

The step of parameter p with gradient g, learning rate r = lr * schedule(epoch) * factor(p):

    SGD    m <- momentum m + g;  p <- p - r m                (nesterov: p <- p - r (g + momentum m))
    Adam   m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
           p <- p - r m / (1 - b1^k) / (sqrt(v / (1 - b2^k)) + eps)
    AdamW  Adam, and p <- p - r weight_decay p before it
           (decay apart from the gradient; in SGD and Adam it is added to g)

`factors` gives groups of parameters their own learning rate by name, with wildcards: {"*.tau_*": 3, "li0.*":
0.5}; the factors of all patterns that match are multiplied.  `clip_norm` scales all gradients together when
their norm exceeds it.  After each step, parameters with a lower bound (time constants) are projected to it;
`update` returns how many were.

What does not fit (a shape, a type, a gradient that is not finite) is refused before anything is changed.  An
optimiser belongs to the network whose parameters it first updated: for another one make a new optimiser,
`reset` this one, or go on from its moments with a `copy.deepcopy` of it.
"""

from .. import devices as devices
from .optimizer import Optimizer
from .rules import (
    OPTIMIZERS,
    SGD,
    Adam,
    Adamax,
    AdamConstants,
    AdamW,
    Largest,
    Moments,
    Momentum,
    SGDConstants,
    adam,
    adamax,
    nesterov_sgd,
    optimizer_from,
    sgd,
)
from .schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    Linear,
    MultiStep,
    Schedule,
    Step,
    WarmUp,
    schedule_from,
)

__all__ = [
    "OPTIMIZERS", "SCHEDULES", "SGD", "Adam", "AdamConstants", "AdamW", "Adamax", "Constant", "Cosine",
    "Exponential", "Largest", "Linear", "Moments", "Momentum", "MultiStep", "Optimizer", "SGDConstants",
    "Schedule", "Step", "WarmUp", "adam", "adamax", "nesterov_sgd", "optimizer_from", "schedule_from", "sgd",
]

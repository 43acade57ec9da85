"""Losses of one's own: what is called with an answer and its targets, and gives a value and a gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked
from ..signals.arrays import checked_lengths, checked_mask
from .base import Loss

WANTED = "a loss such as ns.loss.CrossEntropy(), or a function (y, target) -> (value, dy)"
HANDED_ON = ("mask", "lengths")


@checked
def as_loss(loss: Any) -> Loss:
    """What is given as loss= as a `Loss`: a function, or an object that is called, becomes `Own`.

    Raises TypeError for what is none: a class without brackets, a name.
    """
    if isinstance(loss, type):
        raise TypeError(f"loss={loss.__name__} is a class; make a loss of it: loss={loss.__name__}()")
    if isinstance(loss, Loss):
        calls_itself = type(loss).__call__ is not Loss.__call__ and type(loss).rows is Loss.rows
        return Own(loss) if calls_itself else loss
    if not callable(loss):
        raise TypeError(f"loss must be {WANTED}; got {loss!r}")
    return Own(loss)


class Own(Loss):
    """A function of one's own as a loss; `fit(loss=function)` makes it by itself.

    function: (y, target) -> (value, dy).  y is the answer of the whole batch, (B, C) or (T, B, C), a copy;
    target what the data set holds of it; value a number; dy of y's shape, the derivative of value.  fit takes
    the mean of the values of batches, so a value should be a mean over the samples of its batch.  A function
    that takes `mask` (T, B) or `lengths` (B,) by name gets them, as booleans and integers, None where
    there are none.  One that does not is refused where they are needed.

    The whole batch is held in memory at once; a class that derives from `Loss` and defines `rows` goes
    through a batch in chunks.

    Raises TypeError for a function that cannot be called like that, ValueError for what comes back.
    """

    by_chunks = False

    @checked
    def __init__(self, function: Callable[..., tuple[float, np.ndarray]]):
        super().__init__()
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.takes = _extras(function, self.name)

    def check(self, shape: Sequence[int], labels: ArrayLike, mask: ArrayLike | None = None,
              lengths: ArrayLike | None = None) -> tuple[np.ndarray, Any]:
        """(target, what else the function is called with) for an answer of this shape."""
        self._check_answer(f"loss {self.name}", tuple(shape))
        per_step = len(shape) == 3
        steps = shape[0] if per_step else None
        if mask is not None:
            self._needs("mask")
            mask = checked_mask(mask, tuple(shape[:2]) if per_step else np.shape(mask))
        if lengths is not None:
            lengths = checked_lengths(lengths, shape[-2], steps)
            if per_step:
                self._needs("lengths")
        given = {"mask": mask, "lengths": lengths}
        return np.asarray(labels), {key: given[key] for key in self.takes}

    def _needs(self, key):
        if key not in self.takes:
            raise ValueError(f"the data have {key}, which loss {self.name} does not take, so that steps "
                             f"which do not count would; define it as {self.name}(y, target, {key}=None)")

    def weighted(self, y: np.ndarray, labels: np.ndarray, weights: Any) -> tuple[float, np.ndarray]:
        y = np.array(y)
        result = self.function(y.copy(), np.array(labels), **weights)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise ValueError(f"loss {self.name} must return (value, dy), a number and an array of y's shape; "
                             f"got {type(result).__name__}")
        value, dy = result
        try:
            number = float(value) if np.ndim(value) == 0 else None
            dy = np.array(dy, y.dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"loss {self.name} must return (value, dy), a number and an array: "
                             f"{error}") from error
        if number is None or dy.shape != y.shape:
            raise ValueError(f"loss {self.name} must return (value, dy), a number and an array of y's shape "
                             f"{y.shape}; got shapes {np.shape(value)} and {dy.shape}")
        finite = np.isfinite(number) and np.isfinite(dy).all()
        if not finite and np.isfinite(y).all():
            what = f"the value {number}" if not np.isfinite(number) else "a gradient that is not finite"
            raise ValueError(f"loss {self.name} gave {what} for an answer that is finite")
        return number, dy

    def config(self) -> dict[str, Any]:
        return {"loss": self.name}

    def __repr__(self) -> str:
        return f"Own({self.name})"


def _extras(function, name):
    """Which of mask and lengths a function takes by name."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):             # some built-in functions hide it
        return ()
    parameters = signature.parameters
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    extras = tuple(key for key in HANDED_ON
                   if takes_all or key in parameters and parameters[key].kind in by_name)
    try:
        signature.bind(None, None, **dict.fromkeys(extras))
    except TypeError as error:
        raise TypeError(f"loss {name}{signature} cannot be called as {name}(y, target), with mask= and "
                        f"lengths= where it takes them: {error}. A loss is {WANTED}") from error
    return extras

"""The proof that hand-written gradients are right: smooth spikes, float64, central differences.

`check_gradients` proves those of a network, `check_loss` that of a loss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked
from ..layers import Population
from ..layers.layer import number, positive_integer
from ..loss import CrossEntropy, as_loss
from ..network.gradients import answer_lengths
from ..network.network import Network
from ..signals.arrays import plain
from ..signals.spikes import Spikes
from .evaluation import AnyLoss

KINK = 1e-4     # a smaller difference of the derivatives on both sides is curvature
SHIFT = 1e-3


class GradientError(AssertionError):
    """A gradient differs from finite differences."""


@checked
def check_gradients(net: Network, x: np.ndarray | Spikes, labels: np.ndarray, *, loss: AnyLoss | None = None,
                    mask: np.ndarray | None = None, lengths: np.ndarray | None = None, samples: int = 8,
                    step: float = 1e-6, tolerance: float = 1e-6, seed: int = 0) -> dict[str, float]:
    """Compare every parameter's gradient with central differences; {parameter: largest error}.

    The network is copied in float64 and its spikes are replaced by the smooth primitives of their surrogates:
    then the hand-written backward pass must be the derivative of the forward pass.  `samples` values of each
    parameter are shifted by +-`step` (all where there are fewer).  The error is
    |analytic - numeric| / max(1, largest |gradient| of that parameter): of gradients far below 1 it says
    little, so let the loss be large enough (weights, inputs near the threshold, the sum over steps).

    Where the loss has a kink within `step` of a value (an activation that stands at 0, equal values of a
    maximum), there is no derivative to compare with: the check is then made beside it, all parameters shifted
    by about a thousandth.

    Raises GradientError above the tolerance; ValueError for detach_reset=True, whose gradient is not the
    derivative on purpose.
    """
    samples, step = positive_integer(samples, "samples"), _step(step)
    _refuse_detached_resets(net)
    net = net.smoothed()
    loss = as_loss(CrossEntropy() if loss is None else loss)
    rng = np.random.default_rng(seed)
    if not next(iter(net.layers.values())).reads_tokens:
        x = x.dense(np.float64) if isinstance(x, Spikes) else np.asarray(x, np.float64)
    state = net.initial_state(net._input(x).shape[1], np.random.default_rng(seed))

    def value():
        y, _, _ = net.forward(x, state, lengths=lengths)
        return loss(y, labels, mask, answer_lengths(net, lengths))[0]

    chosen = {name: rng.permutation(p.size)[:samples] for name, p in net.params.items()}
    for again in (False, True):
        if again:
            _shift(net, rng)
        grads = net.loss_and_gradients(loss, x, labels, mask=mask, lengths=lengths, state=state).grads
        found = {name: _largest_error(net.params[name], grad, value, chosen[name], step)
                 for name, grad in grads.items()}
        if not any(error > tolerance and kink > KINK for error, kink in found.values()):
            break
    errors = {name: error for name, (error, _) in found.items()}
    wrong = max(errors, key=lambda name: errors[name], default=None)
    if wrong is not None and not errors[wrong] <= tolerance:
        each = ", ".join(f"{name} {error:.0e}" for name, error in errors.items())
        raise GradientError(f"the gradient of {wrong} differs from central differences by "
                            f"{errors[wrong]:.2e}, more than {tolerance:.0e}; all errors: {each}")
    return errors


@checked
def check_loss(loss: AnyLoss, y: ArrayLike, target: ArrayLike, *, mask: ArrayLike | None = None,
               lengths: ArrayLike | None = None, samples: int = 64, step: float = 1e-6,
               tolerance: float = 1e-6, seed: int = 0) -> float:
    """Compare the gradient that a loss gives with central differences in float64; the largest error.

    loss: any that `fit` takes.  y: an answer, (B, C) or (T, B, C), at which it is tried; target: labels or
    targets that the loss takes.  `samples` values of y are shifted by +-`step` (all where there are fewer),
    relative to the largest |y| where that is above 1.  The error is the largest |gradient - difference| as a
    share of the largest |gradient| or |difference|.  Choose an answer away from kinks, such as y = target of
    MAE.

    Raises GradientError above the tolerance; what the loss itself refuses is a ValueError.
    """
    loss, step = as_loss(loss), _step(step)
    y = np.array(plain(y, "y"), np.float64)
    if not y.size or not np.isfinite(y).all():
        raise ValueError(f"check_loss needs an answer of finite numbers; got y of shape {y.shape}")
    _, dy = loss(y, target, mask, lengths)
    shift = step * max(1.0, float(np.abs(y).max()))
    chosen = np.random.default_rng(seed).permutation(y.size)[:positive_integer(samples, "samples")]
    places = [np.unravel_index(i, y.shape) for i in chosen]
    values = [_around(y, place, lambda: loss(y, target, mask, lengths)[0], shift) for place in places]
    numeric = np.array([(above - below) / (2 * shift) for above, below in values])
    given = np.array([dy[place] for place in places], np.float64)
    largest = max(float(np.abs(dy).max()), float(np.abs(numeric).max()))
    errors = np.abs(given - numeric) / (largest or 1.0)
    worst = int(errors.argmax())
    if not errors[worst] <= tolerance:
        place = tuple(map(int, places[worst]))
        raise GradientError(f"the gradient of {loss!r} differs from central differences by "
                            f"{errors[worst]:.2e} of its largest value, more than {tolerance:.0e}: at "
                            f"y{list(place)} it is {given[worst]:.6g}, the difference {numeric[worst]:.6g}")
    return float(errors[worst])


def _step(step):
    return number(step, "step", "a positive number below 1", lambda h: 0 < h < 1)


def _around(a, place, value, step):
    """value() with a number of an array a step larger, and a step smaller."""
    before = a[place]
    a[place] = before + step
    above = value()
    a[place] = before - step
    below = value()
    a[place] = before
    return above, below


def _refuse_detached_resets(net):
    for name, layer in net.layers.items():
        populations = [part for part in (layer, *layer.inside()) if isinstance(part, Population)]
        if any(population.options.get("detach_reset") for population in populations):
            raise ValueError(f"layer {name} detaches its reset, so that its gradient is not the derivative; "
                             f"check the network with detach_reset=False")


def _shift(net, rng):
    """Move all parameters a little, off the kinks."""
    for p in net.params.values():
        p += SHIFT * np.maximum(np.abs(p), 1) * rng.standard_normal(p.shape)
    net.params.project()


def _largest_error(p, grad, value, chosen, step):
    """(the largest error of the chosen values of a parameter, the kink at that value).

    value: computes the loss.  The kink is the difference of the derivatives on both sides.
    """
    worst = (0.0, 0.0)
    largest = max(1.0, float(np.abs(grad).max(initial=0)))
    here = value()
    for i in chosen:
        place = np.unravel_index(i, p.shape)
        above, below = _around(p, place, value, step)
        numeric, kink = (above - below) / (2 * step), abs(above + below - 2 * here) / step
        worst = max(worst, (float(abs(grad[place] - numeric)) / largest, kink / largest))
    return worst

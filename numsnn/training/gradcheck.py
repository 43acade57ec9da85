"""The proof that a network's hand-written gradients are right: smooth spikes, float64, central differences."""

import numpy as np

from ..layers import Population
from ..loss import CrossEntropy
from ..signals.spikes import Spikes


class GradientError(AssertionError):
    """A gradient differs from finite differences."""


def check_gradients(net, x, labels, *, loss=None, mask=None, lengths=None, samples: int = 8, step: float = 1e-6,
                    tolerance: float = 1e-6, seed: int = 0) -> dict[str, float]:
    """Compare every parameter's gradient with central differences; {parameter: largest error}.

    The network is copied in float64 and its spikes are replaced by the smooth primitives of their surrogates: then the hand-written
    backward pass must be the derivative of the forward pass.  `samples` values of each parameter are shifted by +-`step` (all where
    there are fewer).  The error is |analytic - numeric| / max(1, largest |gradient| of that parameter).

    Raises GradientError above the tolerance; ValueError for detach_reset=True, whose gradient is not the derivative on purpose.
    """
    for name, layer in net.layers.items():
        if any(isinstance(part, Population) and part.options.get("detach_reset") for part in (layer, *layer.inside())):
            raise ValueError(f"layer {name} detaches its reset, so that its gradient is not the derivative; "
                             f"check the network with detach_reset=False")
    net, loss, rng = net.smoothed(), loss or CrossEntropy(), np.random.default_rng(seed)
    if not next(iter(net.layers.values())).reads_tokens:
        x = x.dense(np.float64) if isinstance(x, Spikes) else np.asarray(x, np.float64)
    state = net.initial_state(np.shape(x)[1], np.random.default_rng(seed))

    def value():
        y, _, _ = net.forward(x, state, lengths=lengths)
        return loss(y, labels, mask, lengths)[0] if y.ndim == 3 else loss(y, labels)[0]

    grads = net.loss_and_gradients(loss, x, labels, mask=mask, lengths=lengths, state=state).grads
    errors = {}
    for name, grad in grads.items():
        p = net.params[name]
        chosen = rng.permutation(p.size)[:samples]
        worst, largest = 0.0, max(1.0, float(np.abs(grad).max(initial=0)))
        for i in chosen:
            place = np.unravel_index(i, p.shape)
            before = p[place]
            p[place] = before + step
            above = value()
            p[place] = before - step
            below = value()
            p[place] = before
            worst = max(worst, abs(grad[place] - (above - below) / (2 * step)) / largest)
        errors[name] = worst
    wrong = max(errors, key=errors.get, default=None)
    if wrong is not None and not errors[wrong] <= tolerance:
        raise GradientError(f"the gradient of {wrong} differs from central differences by {errors[wrong]:.2e}, "
                            f"more than {tolerance:.0e}; all errors: {errors}")
    return errors

"""`FPTT`: forward propagation through time, updates within a sequence that stay near a running average."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..checked import checked
from ..layers.layer import number


class FPTT:
    """Parameters that are updated every few steps of a sequence, and held near their running average.

    The loss E_k of a piece k of the sequence is seen with a penalty, W the parameters, M their average and G
    the estimate of the gradient there:

        E_k(W) + alpha / 2 |W - M|^2 - G W
        after the update:   G <- G - alpha (W - M)
                            M <- (1 - beta) M + beta W - (beta / alpha) G

    At rest G is the gradient of E_k and M = W: the penalty takes nothing away, but keeps a piece from
    overwriting what earlier ones said.  Within a piece gradients are those of BPTT; memory is that of a
    piece, and two more numbers for each parameter.

        fptt = ns.rules.FPTT(net.params)
        for piece, labels in pieces:
            result = net.loss_and_gradients(loss, piece, labels, state=state)
            optimizer.update(net.params, fptt.gradients(result.grads))
            fptt.updated()
            state = result.state

    params: net.params, read where they lie.  alpha: strength of the penalty, above 0.  beta: how fast the
    average follows, above 0 and up to 1.
    Source: Kag & Saligrama 2021, "Training recurrent neural networks via forward propagation through time";
    for spiking neurons Yin, Corradi & Bohte 2023, "Accurate online training of dynamical spiking neural
    networks through forward propagation through time".
    """

    @checked
    def __init__(self, params: Mapping[str, np.ndarray], *, alpha: float = 0.1, beta: float = 0.5):
        if not isinstance(params, Mapping) or not all(isinstance(p, np.ndarray) for p in params.values()):
            raise TypeError(f"FPTT: params must be net.params of a network on the host, arrays by name; "
                            f"got {type(params).__name__}")
        self.params = params
        self.alpha = number(alpha, "FPTT: alpha", "above 0", lambda a: a > 0)
        self.beta = number(beta, "FPTT: beta", "above 0 and up to 1", lambda b: 0 < b <= 1)
        self.begin()

    def begin(self) -> None:
        """The averages are the parameters as they are now, the estimates 0."""
        self.mean = {name: p.copy() for name, p in self.params.items()}
        self.estimate = {name: np.zeros_like(p) for name, p in self.params.items()}

    @checked
    def gradients(self, grads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The gradients of the loss of a piece with those of the penalty; keys of net.params."""
        found = {}
        for name, p in self.params.items():
            if name not in grads or np.shape(grads[name]) != p.shape:
                raise ValueError(f"FPTT: expected the gradients of all parameters, as loss_and_gradients "
                                 f"gives them; that of {name}, {p.shape}, is missing or of another shape")
            pull = p.dtype.type(self.alpha) * (p - self.mean[name])
            found[name] = grads[name] + pull - self.estimate[name]
        return found

    def updated(self) -> None:
        """The parameters have been updated: averages and estimates follow."""
        for name, p in self.params.items():
            alpha, beta, ratio = map(p.dtype.type, (self.alpha, self.beta, self.beta / self.alpha))
            mean, estimate = self.mean[name], self.estimate[name]
            estimate -= alpha * (p - mean)
            mean += beta * (p - mean) - ratio * estimate

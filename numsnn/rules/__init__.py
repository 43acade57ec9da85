"""Learning rules that need no tape: their memory does not grow with the length of a sequence.

    trace = ns.rules.EProp(net, ns.loss.CrossEntropy(), batch=B)
    for x_t, target_t in stream:
        y_t = trace.step(x_t, target_t)
    ns.optim.Adam(1e-2).update(net.params, trace.gradients())

`ns.fit(..., rule="eprop")`, "ottt", "sltt", "fptt" trains with them.
"""

from .eprop import EProp
from .fptt import FPTT
from .ottt import OTTT, SLTT

__all__ = ["FPTT", "OTTT", "SLTT", "EProp"]

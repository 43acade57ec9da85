"""The function of the layer `Ternary` (layers/ternary.py), in the dialect.

    y = H(x - v_threshold) - H(-v_threshold - x)        H: f.spike
"""

from .elementwise import elementwise


@elementwise
def ternary(x, v_threshold, f):
    return f.spike(x - v_threshold, f.k) - f.spike(-v_threshold - x, f.k)


@elementwise
def ternary_adjoint(x, v_threshold, f, dy):
    """(dx, dv_threshold)"""
    # y = spike(x - v_threshold) - spike(-v_threshold - x)
    rise = dy * f.slope(x - v_threshold, f.k)
    fall = dy * f.slope(-v_threshold - x, f.k)
    return rise + fall, fall - rise

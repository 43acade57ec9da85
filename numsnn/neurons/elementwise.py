"""The dialect in which neuron models and surrogates are written.

An *elementwise* function holds arithmetic of scalars only: sums, products, quotients, comparisons by
`greater`, and the functions below.  The same function object is called on NumPy arrays (the reference),
captured by Numba loops (CPU), and by whatever target comes next.  This file imports no Numba: `devices.jit`
gives each function its compiled twin.

`exp`, `half_to`, `tanh`, `sigmoid`, `expm1` are ours, made of sums, products and a scaling by the exponent
bits, so that every target computes the same operations in the same order and gives the same bits (`np.exp`
and `math.exp` differ in 40 % of all float32 values, and a call to libm does not vectorise).  One polynomial
serves float32 (2 ulp), one float64 (1e-15); the type of the argument chooses.  Arguments are clamped to the
range in which the result is a normal number: `exp(-1000)` is the smallest normal number, never 0, and
`exp(1000)` is finite.  NaN stays NaN.

Constants of the module are exact in float32, so that they never widen a float32 expression; the coefficients
of the polynomials are given in both precisions.
"""

import dis
import math
from collections.abc import Callable
from math import factorial, log
from types import CellType, ModuleType
from typing import Any, TypeVar

import numpy as np

ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)

NUMBERS = (bool, int, float, np.number, np.bool_)

Function = TypeVar("Function", bound=Callable)

ELEMENTWISE: list[Callable] = []        # every marked function, in order of definition; devices.jit reads it


def elementwise(function: Function) -> Function:
    """Mark a function as written in the dialect; it stays a plain Python function."""
    if function not in ELEMENTWISE:
        ELEMENTWISE.append(function)
    return function


def referenced(function: Callable) -> dict[str, Any]:
    """What the names in a function stand for that come from outside of it, by name.

    Globals, what it closes over, and attributes of modules ("math.pi"); not what its own variables hold.
    """
    code = function.__code__
    loaded = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    things = {name: function.__globals__[name] for name in code.co_names
              if name in loaded and name in function.__globals__}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if cell != CellType():              # one that is empty: defined later
            things[name] = cell.cell_contents
    for module in [name for name, thing in things.items() if isinstance(thing, ModuleType)]:
        inside = vars(things.pop(module))
        things |= {f"{module}.{name}": inside[name] for name in code.co_names if name in inside}
    return things


# ---- primitives: the few operations that NumPy spells differently from a scalar language
# Their compiled forms stand in devices/jit.py and mean exactly the same, NaN and signed zero included.


def minimum(a, b):
    """b where b < a, else a: a NaN in `a` stays."""
    return np.where(b < a, b, a)


def maximum(a, b):
    """b where b > a, else a: a NaN in `a` stays."""
    return np.where(b > a, b, a)


def greater(a, b):
    """1 where a > b, else 0, in the precision of the operands."""
    return np.greater(a, b).astype(np.result_type(a, b))


def greater_equal(a, b):
    """1 where a >= b, else 0, in the precision of the operands."""
    return np.greater_equal(a, b).astype(np.result_type(a, b))


def two_to_32(m):
    """2**n in float32 from m = n + 1.5 * 2**23, whose low mantissa bits hold n."""
    return ((m.view(np.int32) << np.int32(23)) + np.int32(0x3F800000)).view(np.float32)


def two_to_64(m):
    """2**n in float64 from m = n + 1.5 * 2**52, whose low mantissa bits hold n."""
    return ((m.view(np.int64) << np.int64(52)) + np.int64(0x3FF0000000000000)).view(np.float64)


def sqrt(x):
    """The square root, rounded correctly."""
    return np.sqrt(x)


def erf(x):
    """Error function, for the smooth twins of surrogates only (tests); no target needs it for a network."""
    try:
        from scipy.special import erf as of_arrays
    except ImportError:         # the same, number by number
        return np.asarray(np.frompyfunc(math.erf, 1, 1)(x)).astype(np.result_type(x, np.float32))
    return of_arrays(x)


def arctan(x):
    """Inverse tangent, for the smooth twins of surrogates only (tests)."""
    return np.arctan(x)


# ---- exp(x) = 2**n * exp(r), n = round(x / log 2), |r| <= log(2) / 2
# log 2 comes in two parts, so that x - n log 2 is exact

_f = np.float32
MAGIC_32, LOG2E_32 = _f(12582912), _f(1.4426950408889634)
LN2_HIGH_32, LN2_LOW_32 = _f(0.693359375), _f(-2.12194440e-4)
LOW_32, HIGH_32 = _f(-87), _f(88)
C2, C3, C4, C5, C6, C7 = (_f(1 / factorial(k)) for k in range(2, 8))

_d = np.float64
MAGIC_64, LOG2E_64 = _d(6755399441055744), _d(1.4426950408889634)
LN2_HIGH_64, LN2_LOW_64 = _d(0.6931471803691238), _d(1.9082149292705877e-10)
LOW_64, HIGH_64 = _d(-708), _d(709)
D2, D3, D4, D5, D6, D7, D8, D9, D10, D11, D12, D13 = (_d(1 / factorial(k)) for k in range(2, 14))


@elementwise
def expm1_parts_32(x):
    """(exp(r) - 1, 2**n) of a float32."""
    x = minimum(maximum(x, LOW_32), HIGH_32)
    m = x * LOG2E_32 + MAGIC_32
    n = m - MAGIC_32
    r = (x - n * LN2_HIGH_32) - n * LN2_LOW_32
    q = ((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2
    return q * (r * r) + r, two_to_32(m)


@elementwise
def expm1_parts_64(x):
    """(exp(r) - 1, 2**n) of a float64."""
    x = minimum(maximum(x, LOW_64), HIGH_64)
    m = x * LOG2E_64 + MAGIC_64
    n = m - MAGIC_64
    r = (x - n * LN2_HIGH_64) - n * LN2_LOW_64
    q = (((((D13 * r + D12) * r + D11) * r + D10) * r + D9) * r + D8) * r + D7
    q = ((((q * r + D6) * r + D5) * r + D4) * r + D3) * r + D2
    return q * (r * r) + r, two_to_64(m)


def expm1_parts(x):
    """(exp(r) - 1, 2**n) in the precision of x; compiled loops choose by type."""
    return expm1_parts_64(x) if np.result_type(x) == np.float64 else expm1_parts_32(x)


@elementwise
def exp(x):
    """exp(x), x clamped to [-87, 88] in float32, [-708, 709] in float64."""
    p, scale = expm1_parts(x)
    return (p + ONE) * scale


# ---- 2**-x = 2**n * p(t), n = -round(x), t = x + n exact, |t| <= 1/2
# fewer operations than exp where a scale can take the factor log 2

HIGHEST_32, HIGHEST_64 = _f(125), _d(1021)
# this polynomial interpolates 2**-t
E1, E2, E3 = _f(-0.69314718), _f(0.24022651), _f(-0.05550357)
E4, E5, E6 = _f(0.0096180830), _f(-0.0013390863), _f(0.00015453163)
F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11, F12 = (_d((-log(2)) ** k / factorial(k)) for k in range(1, 13))


@elementwise
def half_to_32(x):
    """2**-x of a float32 >= 0."""
    x = minimum(x, HIGHEST_32)
    m = MAGIC_32 - x
    t = x + (m - MAGIC_32)
    return ((((((E6 * t + E5) * t + E4) * t + E3) * t + E2) * t + E1) * t + ONE) * two_to_32(m)


@elementwise
def half_to_64(x):
    """2**-x of a float64 >= 0."""
    x = minimum(x, HIGHEST_64)
    m = MAGIC_64 - x
    t = x + (m - MAGIC_64)
    p = (((((F12 * t + F11) * t + F10) * t + F9) * t + F8) * t + F7) * t + F6
    return ((((((p * t + F5) * t + F4) * t + F3) * t + F2) * t + F1) * t + ONE) * two_to_64(m)


def half_to(x):
    """2**-x, x >= 0 clamped to 125 in float32, 1021 in float64; compiled loops choose by type."""
    return half_to_64(x) if np.result_type(x) == np.float64 else half_to_32(x)


@elementwise
def expm1(x):
    """exp(x) - 1 without cancellation near 0."""
    p, scale = expm1_parts(x)
    return p * scale + (scale - ONE)


@elementwise
def tanh(x):
    """Hyperbolic tangent, (exp(2x) - 1) / (exp(2x) + 1)."""
    e = expm1(TWO * abs(x))
    return e / (e + TWO) * (greater(x, ZERO) - greater(ZERO, x))


@elementwise
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return ONE / (ONE + exp(-x))

"""Encoders: from values and signals to spikes, and decoders back.

| code | from | to | back |
| --- | --- | --- | --- |
| `poisson`, `rate` | x of any shape, from 0 to 1 | (steps, *x.shape) bool | `decode_rate` |
| `latency` | x of any shape, from 0 to 1 | (steps, *x.shape) bool | `decode_latency` |
| `delta` | a signal (T, ..., C) | (T, ..., 2 C) uint16 | `decode_delta` |
| `level_crossing` | a signal (T, ..., C) | (T, ..., 2 C) bool | |
| `ternary` | x of any shape | x.shape, int8 | `decode_ternary` |
| `rbf`, `rbf_threshold` | x (..., C) | (..., C n) float32, bool | `decode_population` |
| `rbf_poisson` | x (..., C) | (steps, ..., C n) bool | `decode_population` of the counts |
| `thermometer` | x (..., C) | (..., C n) bool | `decode_thermometer` |

Time comes first.  Several units for one channel stand side by side on the last axis: all of channel 0, then
all of channel 1 ...  Random codes draw from the generator handed in and from nothing else.  Decoders take
arrays or `Spikes` and return float64; the error that each one promises holds up to rounding.  A train
(T, B, N) goes into a network as it is or as `Spikes.from_dense(train)`.
"""

from .populations import (
    decode_population,
    decode_thermometer,
    rbf,
    rbf_poisson,
    rbf_threshold,
    thermometer,
)
from .signals import decode_delta, decode_ternary, delta, level_crossing, ternary
from .trains import decode_latency, decode_rate, latency, poisson, rate

__all__ = ["decode_delta", "decode_latency", "decode_population", "decode_rate", "decode_ternary",
           "decode_thermometer", "delta", "latency", "level_crossing", "poisson", "rate", "rbf",
           "rbf_poisson", "rbf_threshold", "ternary", "thermometer"]

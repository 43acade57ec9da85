"""Operations of a layer in a time step by formula, from its sizes and from rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..checked import checked
from ..layers.layer import positive_integer
from .count import Count


class Formula(NamedTuple):
    """Operations of a layer in a time step, and its learned values (weights and biases)."""
    count: Count            # type: ignore[assignment]  # hides what a tuple counts
    parameters: int

    def __add__(self, other):
        return Formula(self.count + other.count, self.parameters + other.parameters)


# MAC per unit and step for gates, cell and output.  LSTM: the TC-LIF supplement (Zhang et al.), after Yin's
# method; GRU and SimpleRNN in the same manner.  Those of LIAF cells also leak and reset their membranes:
# (MAC, AC per spike).
GATED = {"SimpleRNN": (4, 0), "GRU": (12, 0), "GRUBefore": (12, 0), "LSTM": (17, 0),
         "LIAFGRU": (12 + 1, 1), "LIAFLSTM": (17 + 4, 4)}


def _product(synapses, rate):
    """A step of so many synapses: real numbers (rate None), or so many spikes per input and step."""
    return Count(mac=synapses) if rate is None else Count(ac=synapses * rate)


def update(variables: float, resets: float | None = 0) -> Count:
    """So many variables leak and integrate; spikes change them so often.

    resets None: real numbers take the place of spikes.
    """
    if resets is None:
        return Count(update_mac=2 * variables)
    return Count(update_mac=variables, update_ac=resets)


def dense(m: int, n: int, rate_in: float | None = None) -> Formula:
    """m inputs, n outputs: mn MAC, or mn rate_in AC where the inputs are spikes.  m n + n parameters."""
    return Formula(_product(m * n, rate_in), m * n + n)


def simple_rnn(m: int, n: int) -> Formula:
    """mn + nn MAC and 4n MAC for the units; n (m + n + 1) parameters.

    After Yin et al. 2021, as their table of the LSTM.
    """
    count = Count(mac=n * (m + n), update_mac=GATED["SimpleRNN"][0] * n)
    return Formula(count, n * (m + n + 1))


def gru(m: int, n: int, reset_after: bool = True) -> Formula:
    """3 (mn + nn) MAC and 12n MAC for the gates; 3n (m + n + 2) parameters.

    With reset_after=False 3n (m + n + 1).  As simple_rnn.
    """
    count = Count(mac=3 * n * (m + n), update_mac=GATED["GRU"][0] * n)
    biases = 1 + bool(reset_after)
    return Formula(count, 3 * n * (m + n + biases))


def lstm(m: int, n: int) -> Formula:
    """4 (mn + nn) MAC and 17n MAC for the gates; 4n (m + n + 1) parameters.

    Supplement of TC-LIF (Zhang et al.), after Yin et al. 2021.
    """
    count = Count(mac=4 * n * (m + n), update_mac=GATED["LSTM"][0] * n)
    return Formula(count, 4 * n * (m + n + 1))


def li(m: int, n: int, rate_in: float | None = None) -> Formula:
    """Leaky integrator (readout): the synapses and n MAC.  Yin et al. 2020."""
    inputs = dense(m, n, rate_in)
    return Formula(inputs.count + update(n), inputs.parameters)


def lif(m: int, n: int, rate_in: float | None = None, rate: float | None = 0.0,
        recurrent: bool = False) -> Formula:
    """mn rate_in AC + (nn + n) rate AC + n MAC, no nn where it is not recurrent; DenseLIF in LIAF-Net.

    rate_in, rate: spikes per input and per neuron in a step; None: real numbers, each AC becomes a MAC.
    m n + n parameters, and n n + n of the recurrence.  Supplement of TC-LIF (Zhang et al.), after Yin et al.
    2021; n comparisons: Wu et al. 2021 (LIAF-Net).
    """
    return _spiking(m, n, rate_in, rate, recurrent, 1)


def alif(m: int, n: int, rate_in: float | None = None, rate: float | None = 0.0,
         recurrent: bool = False) -> Formula:
    """As lif, with the adaptation as second variable: mn rate_in AC + (nn + 2n) rate AC + 2n MAC.

    rate=None is the ReLU-SRNN.  Derived in the manner of Yin et al. 2021; the same as TC-LIF, which has two
    variables too.
    """
    return _spiking(m, n, rate_in, rate, recurrent, 2)


def _spiking(m, n, rate_in, rate, recurrent, variables):
    inputs = dense(m, n, rate_in)
    back = dense(n, n, rate) if recurrent else Formula(Count(), 0)
    resets = None if rate is None else variables * n * rate
    return inputs + back + Formula(update(variables * n, resets) + Count(compare=n), 0)


def liaf(m: int, n: int, rate_in: float | None = None, rate: float = 0.0) -> Formula:
    """DenseLIAF: mn MAC, n MAC of leak and integration, n comparisons; Wu et al. 2021 (LIAF-Net).

    And n rate AC for the resets of its silent spikes.  ARLIF (Gao et al. 2021) without a recurrent kernel
    counts the same; its weights are m n + n.
    """
    return _spiking(m, n, rate_in, rate, False, 1)


Size = int | tuple[int, ...]         # of a kernel: k for k k; places of an output: their product


def conv2d(channels_in: int, channels_out: int, kernel: Size, places: Size,
           rate_in: float | None = None) -> Formula:
    """C_in C_out k k per place of the output, MAC or rate_in AC; C_in C_out k k + C_out parameters.

    places: rows and columns of the output, or their product.  Edges are not left out.
    Operation counts of the code to LIAF-Net (Wu et al. 2021).
    """
    weights = channels_in * channels_out * _area(kernel)
    return Formula(_product(weights * _area(places, 1), rate_in), weights + channels_out)


def conv_lif(channels_in: int, channels_out: int, kernel: Size, places: Size, rate_in: float | None = None,
             rate: float = 0.0) -> Formula:
    """ConvLIF, ConvLIAF: a convolution, and a MAC, rate AC and a comparison for each neuron.  As conv2d."""
    n = channels_out * _area(places, 1)
    neurons = Formula(update(n, n * rate) + Count(compare=n), 0)
    return conv2d(channels_in, channels_out, kernel, places, rate_in) + neurons


def conv_lstm2d(channels_in: int, channels_out: int, kernel: Size, places: Size) -> Formula:
    """4 k k (C_in + C_out) C_out MAC and 17 C_out MAC per place.

    4 (k k (C_in + C_out) C_out + C_out) parameters.  Derived from lstm.
    """
    weights = 4 * _area(kernel) * (channels_in + channels_out) * channels_out
    n = channels_out * _area(places, 1)
    count = Count(mac=weights * _area(places, 1), update_mac=GATED["LSTM"][0] * n)
    return Formula(count, weights + 4 * channels_out)


def conv3d(channels_in: int, channels_out: int, kernel: Size, places: Size, steps: int = 3) -> Formula:
    """k_t k k C_in C_out MAC per place for each frame that comes out; steps: k_t.

    For counting only.  The comparison of LIAF-Net (Wu et al. 2021).
    """
    weights = positive_integer(steps, "conv3d: steps") * _area(kernel) * channels_in * channels_out
    return Formula(Count(mac=weights * _area(places, 1)), weights + channels_out)


def _area(n, power=2):
    """k k of a number or a pair; places are given as a product too (power 1)."""
    return int(n) ** power if np.ndim(n) == 0 else int(np.prod(n))


def both_ways(one: Formula) -> Formula:
    """The bidirectional layer: twice that of a direction."""
    return one + one


FORMULAS: dict[str, Callable[..., Formula]] = {
    "Dense": dense, "SimpleRNN": simple_rnn, "GRU": gru, "LSTM": lstm, "LI": li, "LIF": lif, "DenseLIF": lif,
    "ALIF": alif, "LIAF": liaf, "DenseLIAF": liaf, "ARLIF": liaf, "Conv2d": conv2d, "ConvLIF": conv_lif,
    "ConvLIAF": conv_lif, "ConvARLIF2D": conv_lif, "ConvLSTM2D": conv_lstm2d, "Conv3D": conv3d}


@checked
def formula(name: str, *sizes: Size, bidirectional: bool = False, **options: float | None) -> Formula:
    """The formula of a layer.

    formula("LSTM", m, n); formula("LIF", m, n, rate_in=0.03, rate=0.1, recurrent=True);
    formula("ConvLSTM2D", channels_in, channels_out, kernel, (rows, columns)).
    bidirectional=True: a layer for each direction.
    """
    if name not in FORMULAS:
        raise ValueError(f"no formula for {name!r}; there are {', '.join(FORMULAS)}")
    for n in sizes[:2]:
        positive_integer(n, f"{name}: a size")
    for key in ("rate", "rate_in"):
        rate = options.get(key)
        if rate is not None and not 0 <= rate < np.inf:
            raise ValueError(f"{name}: {key} is a number of spikes per neuron and step, from 0 on; "
                             f"got {rate!r}")
    one = FORMULAS[name](*sizes, **options)
    return both_ways(one) if bidirectional else one

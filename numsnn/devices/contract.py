"""What a device offers: the functions that its device.py defines, and the tuples they speak in.

    dense_forward(x, weight, bias) -> y
        y (T, B, M) = bias + x W, summed over ascending inputs with one accumulator per output.
        x: Spikes or array (T, B, N)
    dense_backward(x, weight, dy, want_dx) -> (dweight, dbias, dx or None)
    conv_forward(x, weight, bias, geometry, into=None) -> y
        two-dimensional convolution of each row (t, b)
        x: Spikes or array (T, B, C * H * W), weight (O, C, kh, kw)
    conv_backward(x, weight, dy, geometry, want_dx, into=None) -> (dweight, dbias, dx or None)
        x, dy may be samples of larger arrays, and so may be `into`, where y or dx shall lie; a device may
        ignore it
    max_pool_forward(x, geometry) -> (y, taken)
        the largest value of each window of x, array (T, B, C * H * W)
        taken: where it lay, of equal ones the first
    max_pool_backward(taken, dy, geometry) -> dx
    sum_pool_forward(x, geometry, scale) -> y
        the sum of each window times scale; what lies in the padding is 0
    sum_pool_backward(dy, geometry, scale) -> dx
    population_forward(dynamics, x, start, recurrent, want) -> Run
    population_backward(dynamics, tape, recurrent, gradients, learn) -> PopulationGradients
    eligibility_forward(dynamics, x, start, recurrent, output, eligible) -> Passed
    eligibility_step(dynamics, passed, rows, signal, learned, factors, eligible) -> Inputs
        a population and its traces over a few steps, for rules without a tape (devices/eligibility.py);
        rows (S, B, K): what comes into each neuron; signal (S, B, N); learned: indices of fields of Params;
        eligible is changed in place; the gradients of the currents by the signal of the same step come back.
        A device may lack both
    softmax_cross_entropy(y, labels, weights) -> (loss, which may come later, dy)
        sum over rows of weights[r] * -log softmax(y[r])[labels[r]], and its gradient; y (R, C), weights (R,)
        float64.  A device may take exp of less than -60 for zero
    softmax(x) -> z
        exp(x - max) / sum over the last axis, the sum in ascending order
    over_time_forward(over, x, state, lengths, tape) -> (y, OverState, tape or None)
        the answer over time (layers/overtime.py)
    over_time_backward(over, tape, dy, dstate) -> (dx, dstate)
    batch_norm_forward(norming, x, gain, bias, running, lengths, tape, whole)
            -> (y, Moments or None, tape or None)
        each channel of x, array (T, B, C * places), by the moments `running` (then None comes back), None: by
        those of the whole batch over the valid steps, which come back on the host; gain, bias (C,).  norming,
        Moments, whole: see devices/norm.py
    batch_norm_backward(norming, tape, gain, dy, want_dx) -> (dx or None, dgain, dbias)
    layer_norm_forward(x, gain, bias, eps, tape) -> (y, tape or None)
        each step of x, array (T, B, C) or, each place by itself, (T, B, C, places); gain, bias (C,)
    layer_norm_backward(tape, gain, dy, want_dx) -> (dx or None, dgain, dbias)
    activation_forward(activation, x, tape) -> (y, tape or None)
        a function of each value
    activation_backward(activation, tape, dy) -> dx
    ternary_forward(surrogate, x, v_threshold) -> y
        H(x - v_threshold) - H(-v_threshold - x) of each value (neurons/ternary.py); v_threshold (1,), on the
        host
    ternary_backward(surrogate, x, v_threshold, dy) -> (dx, dv_threshold (1,))
    delay_forward(delays, x, past, lengths, want_slope) -> (y, past, slope or None)
        each feature of x, array (T, B, N), delayed; past (B, sum of lengths): what arrived before, and what
        is still on its way (layers/delay.py); slope (T, B, N): of y by the delay of its feature
    delay_backward(delays, slope, dy, dpast, lengths) -> (dx, dpast, ddelay or None)
        ddelay: (N,), where there is a slope
    delay_spikes(shift, delays, x, past, lengths) -> (y, past)
        the same of Spikes, by whole steps (N,) that are no longer than the pasts; of devices that are HOST
    lagged_forward(lagged, x, coming, lengths) -> (y, coming)
        y[t] (B, M) = bias + sum over lags k of x[t - k] W[k], dense layers with delays.  x: Spikes or array
        (T, B, N); coming (B, most, M): what earlier steps contribute to the next `most` ones, without bias.
        Each output has one accumulator, to which steps t add in ascending order, in each the inputs in
        ascending order, of which each the kernels in ascending order; the bias comes last
    lagged_backward(lagged, x, dy, dcoming, lengths, want_dx) -> (dweight, dbias, dcoming, dx or None)
    random_factors(key, done, shape, probability) -> array (T, B, N)
        0 with this probability, else 1 / (1 - probability): decided by a hash of the key (B, 2) of a sample,
        step and feature, the same on all devices; done (B, 1): steps before the first; 1 where the key is
        (0, 0)
    times(x, factors) -> x * factors, (T, B, N) or (B, N), factors of the same shape, (B, N) or, one for each
        sample, (B, 1)
    later(names, arrays, make) -> what make(*arrays), of arrays on the host or None, gives by these names: at
        once, or what stands for it until they have come down, which can be added, and is an array where NumPy
        asks for one
    arrived(loss, grads) -> (loss, grads, squares)
        of which nothing is on its way any more: all has come down in one go; squares: the sum of those of
        each gradient, where they came with them, else None
    put(a) -> array where the device works, or the array itself
    zeros(shape, dtype) -> such an array
    holds(a) -> whether it lies there, not on the host
    send(x) -> put(x), which may take place while the device works
    finish() waits until the device has done all it was told
    busy(run) -> seconds of kernels in run(), None where that is not known
    name() -> str
    parted(a, n) -> the parts (..., n) of an array (..., G n), one after the other on its last axis; n may be
        a list of widths, of a part each
    beside(parts) -> such an array, or Spikes where all parts are Spikes
    reordered(x, order) -> y
        y[t, b] = x[order[t, b], b]; x (T, B, N) array or Spikes, order (T', B) integers on the host
    sum_steps(x, k) -> (T / k, B, N), the sums of k steps, in the order of time
    rate_band(band, theta, spikes, samples) -> (theta, thresholds)
        thresholds that follow the rate of spikes (1, B, N) of a step, of so many samples that have this step,
        while the others do not spike; theta (G,) of float64: each of N / G neurons that lie side by side;
        thresholds (N,) are those of the neurons.  band: (low, high, step, least, most), see layers/arlif.py
    joined(parts) -> pieces (T, ...) of a sequence, one after the other: arrays, or Spikes
    held(run) -> int, the most bytes of arrays there that run() holds on top of those before it
    finite(arrays) -> whether all values are finite, of each
    square_sums(arrays) -> the sum of the squares of each, in float64
    euclidean(arrays) -> float, the norm of all values together, not finite where one of them is not: for
        reports, to a few digits, and cheap
    norm_and_squares(arrays) -> (that of euclidean, those of square_sums where they come with it, else None)
    refusal(dynamics, units, dtype) -> str
        why the device cannot run a population; "" where it can
    update(rule, p, g, slots, k)
        one step of an optimiser, in place: for each value p, slots = rule(p, g, slots, k); p, g (N,), slots:
        named tuple of (N,) arrays
    dense_step, lagged_step, delay_step, population_step, over_time_step -> StepLayer
    StepTable(layers, batch, dtype)
        one step of several layers in one call (devices/cpu/step.py), where a device has it: STEPS
    HOST
        whether arrays are NumPy's, so that layers may do with them what no function here does
    CHUNKED
        whether the network cuts a batch into chunks of samples
    one_thread() -> context manager in which several threads may call the backward functions (they use BLAS)

One time step of a recurrent population: current += bias + (what it handed out in the last step) V, then
`step`; where the model has a SECOND current, its product comes after the others and takes `between` of them.
What recurs may come late (Late): what goes into step t is then a sum over earlier steps t' of their shares,
with one accumulator, to which the steps t' add in their order; zeros add nothing.  With delays of synapses
(Lagged) it is a sum of currents instead, made as by lagged_forward, and added after the bias.
Arrays are (T, B, N) and contiguous; the currents x, one array for each field of the model's Inputs, are
overwritten by the total currents, which the tape keeps.  Padded steps, t >= lengths[b], change no state, hand
out zeros and have no gradient.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..neurons import Model
from ..neurons.activation import ACTIVATIONS, Activation
from ..neurons.surrogate import Surrogate
from ..signals.spikes import Spikes


class Geometry(NamedTuple):
    """A convolution, or windows.

    Channels and size of the pictures that come in, (rows, columns) of everything, size of those that go out.
    """
    channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    out: tuple[int, int]


class Delays(NamedTuple):
    """How long N features are delayed, and where the past of each lies in a row of all of them.

    y_t = newer x_{t-steps} + older x_{t-steps-1}; where older is 0, x_{t-steps} itself.
    """
    steps: np.ndarray           # (N,) whole numbers
    newer: np.ndarray           # (N,): newer + older = 1
    older: np.ndarray           # (N,)
    length: np.ndarray          # (N,) steps that its past holds; where there is an `older`, more than `steps`
    first: np.ndarray           # (N,): where its past begins, the oldest value first
    feature: np.ndarray         # (sum of lengths,): whose past lies there

    @classmethod
    def by_steps(cls, steps: np.ndarray, dtype: DTypeLike) -> "Delays":
        """By whole steps, (N,): pasts are as long as these."""
        return cls._of(steps, np.zeros(len(steps)), steps, dtype)

    @classmethod
    def by(cls, delay: np.ndarray, longest: int, dtype: DTypeLike) -> "Delays":
        """By real delays (N,), float64, up to a longest, as long as which all pasts are.

        A line goes through both values between which a delay lies, and beyond the ends of [0, longest].
        """
        steps = np.fmin(np.fmax(np.floor(delay), 0), longest - 1)       # numbers even where a delay is none
        return cls._of(steps, delay - steps, np.full(len(delay), longest), dtype)

    @classmethod
    def _of(cls, steps, older, length, dtype):
        # compiled code reads them by their addresses
        steps, length = (np.array(a, np.int64, order="C") for a in (steps, length))
        older = np.array(older, dtype, order="C")
        first = np.cumsum(length) - length
        return cls(steps, 1 - older, older, length, first, np.repeat(np.arange(len(steps)), length))

    def shift(self) -> np.ndarray | None:
        """By how many whole steps each feature is delayed, (N,); None where one lies between two steps."""
        if ((self.older != 0) & (self.older != 1)).any():
            return None
        return self.steps + self.older.astype(np.int64)


class Lagged(NamedTuple):
    """Dense synapses with delays of 0 ... most steps: the weights of all lags, or one lag of each synapse."""
    weight: Any                 # (N, most + 1, M); with lags (kernels, N, M)
    lag: Any                    # (kernels, N, M) of int32, or None
    bias: Any                   # (M,), or None
    most: int


class Dynamics(NamedTuple):
    """What a population does, apart from its arrays."""
    model: Model
    surrogate: Surrogate
    recur: str | None           # the field of Out that recurs, or None
    activation: Activation = ACTIVATIONS["identity"]
    late: bool = False          # whether what recurs comes back late: see Late

    @property
    def in_two_stages(self) -> bool:
        """Whether a step has a product that takes what another one decided."""
        return self.recur is not None and self.model.second is not None

    @property
    def recurs_as_events(self) -> bool:
        return self.recur == "spike" and self.surrogate.hard

    @property
    def spikes_are_listed(self) -> bool:
        """Whether the tape keeps the last spikes of the state as lists, not as an array."""
        return "spike" in self.model.State._fields and self.surrogate.hard


class Over(NamedTuple):
    """An answer over time (layers/overtime.py)."""
    reduce: str
    of: str
    start: int


ROUND = 1 << 23     # steps; float32 counts twice as far one by one


class OverState(NamedTuple):
    """All in the working precision; steps_so_far gives the number that steps and rounds tell together."""
    value: np.ndarray           # (B, N) sum, largest or last value so far
    steps: np.ndarray           # (B, 1) steps so far beyond full rounds
    rounds: np.ndarray          # (B, 1) full rounds of ROUND steps so far


class Late(NamedTuple):
    """How late what recurs comes back: of what neuron n hands out in step t, share[k, n] in t + 1 + k."""
    share: np.ndarray           # (L, N)
    begin: np.ndarray           # (N,) of int64: the first lag k with a share,
    end: np.ndarray             # and the one after the last
    learned: bool               # whether the gradient of the shares is wanted

    @classmethod
    def of(cls, share: np.ndarray, learned: bool) -> "Late":
        """Of shares, of which each neuron has one at least."""
        there, most = share != 0, len(share)
        return cls(share, there.argmax(0), most - there[::-1].argmax(0), learned)

    @property
    def whole(self) -> bool:
        """Whether each neuron has one lag."""
        return bool((self.end - self.begin == 1).all())


class Recurrent(NamedTuple):
    # a matrix (N, N), from, to, for each current that the recurrence feeds; none where `late` is Lagged
    weight: tuple
    bias: tuple | None          # (N,) for each of them
    # None: what recurs comes back in the next step.  Lagged: with delays of synapses, into all currents
    # together, (N, most + 1, G N); lag 0 is the next step, and there is no bias in it
    late: Late | Lagged | None = None

    @property
    def by_synapse(self) -> bool:
        """Whether it has delays of synapses."""
        return isinstance(self.late, Lagged)


class Start(NamedTuple):
    """What a run starts from; nothing of it is changed."""
    coefficients: Any           # Params of (N,) arrays
    state: Any                  # State of (B, N) arrays
    # (B, N): what recurred last, None without recurrence; where it comes late, (B, L, N): what is on its way
    # into the next L steps, and with delays of synapses (B, L, G N): the currents that are
    last: np.ndarray | None
    lengths: np.ndarray | None  # (B,) int64


class Want(NamedTuple):
    """What a run shall hand out."""
    fields: tuple               # of Out, as arrays (T, B, N)
    events: bool                # the spikes as Spikes
    tape: bool                  # what the backward pass needs
    # (T, B, N), samples of a larger array: where the one field shall lie; a device may ignore it
    into: np.ndarray | None = None

    def stored(self, recurring: str | None) -> set[str]:
        """The fields of Out of which a run stores values; recurring: the one the tape needs, or None."""
        taped = {recurring} if self.tape and recurring else set()
        return set(self.fields) | taped

    def of(self, out: Any) -> Any:
        """What was asked for of what a run stored; the other fields are None."""
        return with_fields(type(out), self.fields, partial(getattr, out))


class Run(NamedTuple):
    out: Any                    # Out of arrays (T, B, N) or None
    events: Spikes | None
    state: Any                  # State of (B, N) arrays after the last step
    last: np.ndarray | None
    tape: Any


class Tape(NamedTuple):
    current: Any                # Inputs of arrays (T, B, N): the total currents
    states: Any                 # State of (T, B, N) arrays, before each step; None where `events` tell it
    start: Start
    events: Spikes | None       # what the population handed out as spikes
    values: np.ndarray | None   # (T, B, N): what recurred, where it is not spikes
    arrived: np.ndarray | None = None   # (T, B, N): where it comes Late, what came into each step


class Gradients(NamedTuple):
    """What comes into the backward pass of a population."""
    out: Any                    # Out of arrays (T, B, N) or None
    state: Any                  # State of (B, N) arrays: of the state after the last step
    last: np.ndarray | None
    # samples of a larger array, as those of `out` then are: where the gradient of the current shall lie; a
    # device may ignore it
    into: np.ndarray | None = None


class PopulationGradients(NamedTuple):
    current: Any                # Inputs of arrays (T, B, N)
    state: Any                  # of the initial state
    last: np.ndarray | None
    coefficients: Any           # Params of (N,) arrays, None where not learned
    weight: tuple | None        # as in Recurrent
    bias: tuple | None
    # of the shares of Late, (L, N), None where it is not wanted; or of the weight of Lagged
    late: np.ndarray | None = None


def with_fields(cls: Any, wanted: Collection, array_of: Callable[[str], Any]) -> Any:
    """A named tuple of array_of(name) for each field that is wanted, None for the others."""
    return cls(*(array_of(name) if name in wanted else None for name in cls._fields))


def steps_so_far(state: OverState) -> np.ndarray:
    """(B, 1) of int64."""
    return np.asarray(state.steps).astype(np.int64) + ROUND * np.asarray(state.rounds).astype(np.int64)


def steps_and_rounds(steps: np.ndarray, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """What `steps_so_far` makes this number of."""
    rounds, rest = np.divmod(steps, ROUND)
    return rest.astype(dtype), rounds.astype(dtype)


def valid_steps(steps: int, batch: int, lengths: np.ndarray | None) -> np.ndarray:
    """(T, B, 1): whether sample b has a step t."""
    lengths = np.full(batch, steps) if lengths is None else lengths
    return np.arange(steps)[:, None, None] < lengths[:, None]

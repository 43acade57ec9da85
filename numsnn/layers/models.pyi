"""Written by `python -m numsnn.layers.stubs` from numsnn.neurons; do not edit."""

from typing import Any, Literal

from ..neurons import surrogate as surrogates
from .delays import Delays
from .initialise import Value
from .population import Names, Population

__all__ = [
    "ALIF",
    "ARLIF",
    "BRF",
    "GRU",
    "HRF",
    "IF",
    "LI",
    "LIAF",
    "LIAFGRU",
    "LIAFLSTM",
    "LIF",
    "LSTM",
    "PLIF",
    "RF",
    "AdLIF",
    "CSiLIF",
    "CubaLI",
    "CubaLIF",
    "Integrator",
    "SiLIF",
    "SimpleRNN",
]


class ALIF(Population):
    """Adaptive leaky integrate-and-fire neuron of the SRNN: a spike raises the threshold, which decays back.

        tau_mem dv/dt = -v + R I,   tau_adp deta/dt = -eta + spikes,   theta = v_threshold + beta eta

        eta_t   = rho eta_{t-1} + (1 - rho) s_{t-1}                          rho   = exp(-dt / tau_adp)
        theta_t = v_threshold + beta eta_t
        v_t     = alpha v_{t-1} + (1 - alpha) I_t - theta_t s_{t-1}          alpha = exp(-dt / tau_mem)
        s_t     = H(v_t - theta_t)                                           H: `surrogate`, comparator ">", ">="

    The order matters: the threshold moves first, and the soft reset subtracts the new threshold for the previous
    spike.  Neither is scaled by dt.  With beta = 0 this is a LIF neuron with a reset in the next step.
    `reset_when="same"` resets in the step of the spike (model `ALIFSame`).  `detach_reset=True` keeps the
    gradient from flowing through the spike of the reset.

        tau_mem      membrane time constant, in the unit of dt
        tau_adp      time constant of the adaptation, in the unit of dt
        v_threshold  resting threshold (b_j0 in the papers), in the unit of v
        beta         strength of the adaptation, in the unit of v
        refractory   time after a spike in which there is none, in the unit of dt (model `ALIFRefractory`)

    `init_state="zeros"`: all 0; `"rest"`: v = s = 0, eta = v_threshold; `"uniform"`: v ~ U(0, 1), s = 0,
    eta = v_threshold; `"author"`: v = s ~ U(0, v_threshold), eta = v_threshold (the ECG script: a spike that is
    no spike).  Source: Yin, Corradi, Bohte 2020 and 2021, and their code.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        tau_mem: Value = 20.0,
        tau_adp: Value = 150.0,
        v_threshold: Value = 0.01,
        beta: Value = 1.8,
        detach_reset: Literal[False, True] = False,
        refractory: float = 0.0,
        reset_when: Literal['next', 'same'] = 'next',
    ) -> None: ...


class ARLIF(Population):
    """Recurrent leaky integrate and fire neuron with an adaptive firing threshold, and an analog output.

        theta_t = v_threshold + beta eta_{t-1}
        u_t = I_t + self_weight y_{t-1} + v_{t-1}
        s_t = H(u_t - theta_t)                           H: `surrogate` (rectangle), `comparator` (">")
        y_t = f(u_t)                                     threshold_related=False;  f: `activation` (selu)
              f(u_t - theta_t)                           threshold_related=True
        r_t = s_t v_reset + (1 - s_t) u_t                reset="hard";  u_t - s_t theta_t for "soft"
        v_t = sigmoid(decay) r_t
        eta_t = rho eta_{t-1} + (1 - rho) s_t            rho = exp(-dt / tau_adp)

    What the next layer receives is y_t (`output="analog"`), or s_t (`output="spike"`).  `recurrent` of the
    population adds a dense kernel to the diagonal one, self_weight.  `detach_reset=True` keeps the gradient from
    flowing through the spike of the reset.

        decay        leak before the sigmoid; sigmoid(decay) of the membrane remains in one step (0.5: 0.62)
        v_threshold  threshold, in the unit of v; the layer ARLIF moves it by its rate-band rule
        v_reset      value after a spike, in the unit of v
        self_weight  weight of a neuron's own last output (0: none)
        tau_adp      time constant of the trace of spikes, in the unit of dt
        beta         how far the trace moves the threshold, in the unit of v (0: not at all)

    Source: Gao, Wu, Wu, Li, Pei, HBAI 2021, of which the abstract alone was at hand.  From it: the name, hence
    recurrence, adaptive threshold and LIF; layers that replace SimpleRNN, LSTM and ConvLSTM2D with far fewer
    weights, hence no dense recurrent kernel by default.  From code of the same group that names ARLIF: u, the
    leak through a sigmoid with initial value 0.5, the hard reset to 0, the threshold 0.5, the output act(u), the
    rate-band rule.  Reconstructed, because neither says so: the reset potential, the soft reset, the trace
    (ALIF's), the diagonal kernel, gradients through the reset (that code detaches it).


        threshold    how the threshold moves:
                     "rate_band"  in training (`forward`), after each step, where the rate r of spikes over all
                                  samples of the batch and all neurons that share a threshold is outside of a
                                  band: v_threshold += threshold_step if r > rate_high, -= threshold_step if
                                  r < rate_low, kept in threshold_min ... threshold_max.  Padded samples do not
                                  count.  No gradient flows through it; `run` and `step` leave it as it is; it is
                                  saved with the network
                     "fixed"      not at all
                     "learned"    by its gradient
                     "trace"      by the neuron's own trace of spikes (beta, tau_adp), as the ALIF's
        rate_low, rate_high, threshold_step, threshold_min, threshold_max
                     of the rule above; rates are spikes per neuron and step

        One threshold for the population unless told otherwise (per_channel="v_threshold", or shared=() for one
        per neuron).  With the rate-band rule training takes the whole batch step by step (slower: a step waits
        for the rate of the one before), inference does not.

        Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = ('decay',),
        shared: Names | None = None,
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'rectangle',
        comparator: str | None = '>',
        activation: str | None = 'selu',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        decay: Value = 0.5,
        v_threshold: Value = 0.5,
        v_reset: Value = 0.0,
        self_weight: Value = 0.0,
        tau_adp: Value = 20.0,
        beta: Value = 0.0,
        reset: Literal['hard', 'soft'] = 'hard',
        threshold_related: Literal[False, True] = False,
        detach_reset: Literal[False, True] = False,
        threshold: Literal['rate_band', 'fixed', 'learned', 'trace'] = 'rate_band',
        rate_low: float = 0.2,
        rate_high: float = 0.8,
        threshold_step: float = 0.1,
        threshold_min: float = 0.1,
        threshold_max: float = 2.0,
    ) -> None: ...


class BRF(Population):
    """Balanced resonate-and-fire neuron: an oscillator that cannot grow, with a refractory threshold.

        b_t = p(omega) - damping - q_{t-1}                  p(omega) = (-1 + sqrt(1 - (dt omega)^2)) / dt
        v_t = v_{t-1} + dt (b_t v_{t-1} - omega w_{t-1} + I_t)
        w_t = w_{t-1} + dt (omega v_{t-1} + b_t w_{t-1})
        s_t = H(v_t - theta_t)                              theta_t = v_threshold + q_{t-1}
        q_t = gamma q_{t-1} + s_t                           H: `surrogate`, comparator ">" or ">="

    With the damping p(omega) the Euler steps keep the length of v + i w (the divergence boundary); all that is
    beyond it makes the oscillation die away.  A spike raises the threshold and damps the oscillation for a
    while, and resets nothing.

        omega        angular frequency, in radians for each unit of dt, 0 or more, below 1 / dt
        damping      rate at which oscillations die away, per unit of dt, 0 or more (|b_offset| in the paper)
        v_threshold  threshold at rest, in the unit of v
        gamma        what is left of q after a step

    Each spike adds 1 to the damping rate, per unit of dt: dt is small, 0.01 in the paper, or Euler's steps fail.

    Source: Higuchi, Kairat, Bohte, Otte 2024 (arXiv 2402.14603) and their code: dt = 0.01, omega and damping
    drawn from U(5, 10), U(2, 3) for speech, U(15, 85), U(0.1, 1) for permuted digits.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'double_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        omega: Value = 0.1,
        damping: Value = 0.01,
        v_threshold: Value = 1.0,
        gamma: Value = 0.9,
    ) -> None: ...


class GRU(Population):
    """Gated recurrent unit, reset gate after the product.

    Three currents come to a neuron, in Keras' order z, r, h.

        z_t = S(I^z_t),   r_t = S(I^r_t)                 update and reset gate, S: the logistic function
        n_t = g(I^h_t + r_t J_t)                         candidate, g: `activation` (tanh)
        h_t = z_t h_{t-1} + (1 - z_t) n_t                what the next layer receives and what recurs, `analog`

        I^z_t = x^z_t + h_{t-1} U^z + b^z,  I^r_t likewise,  I^h_t = x^h_t,  J_t = h_{t-1} U^h + b^h:
        x (T, B, 3 n) from Dense(n_in, 3 n), U = `recurrent` (n, 3 n), b = `recurrent_bias` (3 n,),
        both in the order z, r, h

    Recurrent unless told otherwise, with a recurrent bias, as in Keras (reset_after=True): Dense(m, 3 n) and
    GRU(n) have 3 n (m + n + 2) parameters.  Quantities are dimensionless and dt plays no part.  PyTorch computes
    the same with the gates in the order r, z, n and transposed weights.  reset_after=False has (r_t h_{t-1}) U^h
    instead of r_t (h_{t-1} U^h), and no recurrent bias (see `GRUBefore`).
    Source: Cho et al. 2014 (arXiv 1406.1078, first version; the third has the reset gate before the product).


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = True,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        activation: str | None = 'tanh',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        reset_after: Literal[True, False] = True,
    ) -> None: ...


class HRF(Population):
    """Harmonic resonate-and-fire neuron: a mass on a spring, which spikes where its speed is above the threshold.

        d^2w/dt^2 + 2 b dw/dt + omega^2 w = I,   v = dw/dt

        b_t = 0.005 omega^2 + damping + q_{t-1}
        w_t = w_{t-1} + dt v_{t-1}
        v_t = v_{t-1} + dt (I_t - 2 b_t v_{t-1} - omega^2 w_t)
        s_t = H(v_t - theta_t)                              theta_t = v_threshold + q_{t-1}
        q_t = gamma q_{t-1} + s_t                           H: `surrogate`, comparator ">" or ">="

    A spike raises the threshold and damps the oscillation for a while, and resets nothing.

        omega        angular frequency without damping, in radians for each unit of dt, 0 or more
        damping      beyond 0.005 omega^2, per unit of dt, 0 or more (|b_offset| in the paper)
        v_threshold  threshold at rest, in the unit of v
        gamma        what is left of q after a step

    Each spike adds 1 to the damping rate, per unit of dt: dt is small, 0.01 in the paper, or Euler's steps fail.

    Source: Higuchi, Kairat, Bohte, Otte 2024 (arXiv 2402.14603) and their code: dt = 0.01.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'double_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        omega: Value = 0.1,
        damping: Value = 0.01,
        v_threshold: Value = 1.0,
        gamma: Value = 0.9,
    ) -> None: ...


class IF(Population):
    """Integrate-and-fire neuron: a membrane that does not leak.

        dv/dt = R I,   a spike when v crosses v_threshold

        u_t = v_{t-1} + r dt I_t
        s_t = H(u_t - v_threshold)                          H: `surrogate`, comparator ">" or ">="
        v_t = u_t - s_t v_threshold                         reset="soft"
              u_t - s_t (u_t - v_reset)                     reset="hard"
              u_t                                           reset="none"

    It is the step of `LIF` with alpha = 1.  The membrane that is handed out, `v`, is u_t, before the reset.

        v_threshold  threshold, in the unit of v
        v_reset      value after a hard reset, in the unit of v
        r            what a current of 1 adds to the membrane in a unit of time
        refractory   time after a spike in which there is none, in the unit of dt (model `IFRefractory`)

    Source: Lapicque 1907; NIR's IF (Pedersen et al. 2024).


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        v_threshold: Value = 1.0,
        v_reset: Value = 0.0,
        r: Value = 1.0,
        reset: Literal['soft', 'hard', 'none'] = 'soft',
        detach_reset: Literal[False, True] = False,
        refractory: float = 0.0,
    ) -> None: ...


class LI(Population):
    """Leaky integrator: a membrane without spikes, for readouts.

        tau_mem dv/dt = v_leak - v + R I

        v_t = alpha v_{t-1} + gain I_t + (1 - alpha) v_leak

        tau_mem      membrane time constant, in the unit of dt
        v_leak       potential at rest, in the unit of v
        r            resistance: what a current of 1 adds to the membrane, see input_scale
        input_scale  gain = r (1 - alpha) ("1-alpha"; I in the unit of v / r) or gain = r ("1")
        integrator   alpha = exp(-dt / tau_mem) ("exponential") or 1 - dt / tau_mem ("euler")

    `init_state="rest"`: v = v_leak.  Source: Yin, Corradi, Bohte 2020 (the integrator readout); NIR's LI
    (Pedersen et al. 2024).


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        tau_mem: Value = 20.0,
        v_leak: Value = 0.0,
        r: Value = 1.0,
        input_scale: Literal['1-alpha', '1'] = '1-alpha',
        integrator: Literal['exponential', 'euler'] = 'exponential',
    ) -> None: ...


class LIAF(Population):
    """Leaky integrate and analog fire neuron: it spikes inside, and hands out an analog value.

        u_t = I_t + v_{t-1}
        s_t = H(u_t - v_threshold)                       H: `surrogate` (rectangle), `comparator` (">=")
        r_t = s_t v_reset + (1 - s_t) u_t                hard reset
        v_t = alpha r_t + beta                           multiplicative and additive leak
        y_t = f(u_t - v_threshold)                       threshold_related=True (TR); f: `activation`
              f(u_t)                                     threshold_related=False (NTR)

    What the next layer receives is y_t (`output="analog"`); `output="spike"` is the LIF neuron of the same
    paper.  The spike resets the neuron and is not sent.  `v` that is handed out is u_t.  `detach_reset=True`
    keeps the gradient from flowing through the spike of the reset; with an NTR output nothing then reaches
    v_threshold, and learning it is refused.

        alpha        multiplicative leak, what remains of the membrane in one step (dimensionless)
        beta         additive leak, in the unit of v
        v_threshold  threshold, in the unit of v
        v_reset      value after a spike, in the unit of v

    Leak and reset come after the output, in the same step; nothing is scaled by dt.  The initial v is 0.
    Source: Wu, Zhang, Lin, Li, Wang, Tang, LIAF-Net, IEEE Trans. Neural Netw. Learn. Syst. 2021
    (arXiv 2011.06176).


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'rectangle',
        comparator: str | None = '>=',
        activation: str | None = 'relu',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        alpha: Value = 0.3,
        beta: Value = 0.0,
        v_threshold: Value = 0.5,
        v_reset: Value = 0.0,
        threshold_related: Literal[True, False] = True,
        detach_reset: Literal[False, True] = False,
    ) -> None: ...


class LIAFGRU(Population):
    """LIAF neuron with the gates of a GRU: it carries on a membrane that leaks and is reset by its spikes.

        z_t = S(I^z_t),   r_t = S(I^r_t)                 update and reset gate, S: the logistic function
        n_t = tanh(I^h_t + r_t J_t)                      candidate
        u_t = (1 - z_t) h_{t-1} + z_t n_t                membrane; z the other way round than in `GRU`
        s_t = H(u_t - v_threshold)                       H: `surrogate` (rectangle), `comparator` (">=")
        h_t = alpha (1 - s_t) u_t                        leak and reset; this recurs
        y_t = g(u_t)                                     output="analog", g: `activation`

        I^z_t = x^z_t + h_{t-1} U^z + b^z,  I^r_t likewise,  I^h_t = x^h_t,  J_t = h_{t-1} U^h + b^h:
        x (T, B, 3 n) from Dense(n_in, 3 n), U = `recurrent` (n, 3 n), b = `recurrent_bias` (3 n,),
        both in the order z, r, h

    What the next layer receives is the spike s_t, or with output="analog" y_t.  `v` that is handed out is u_t.
    Recurrent unless told otherwise.

        alpha        leak, what remains of the membrane in one step (dimensionless)
        v_threshold  threshold, in the unit of u (dimensionless; |u| < 1)

    Nothing is scaled by dt.  Source: LIAFGRUCell of the code to Wu, Zhang, Lin, Li, Wang, Tang, LIAF-Net 2021,
    which differs: its h_t is made of u_{t-1}, the membrane of the step before (h is renewed before u); its gate
    function is selu by default; J has no bias; only spikes leave the cell.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = True,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'rectangle',
        comparator: str | None = '>=',
        activation: str | None = 'relu',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        alpha: Value = 0.3,
        v_threshold: Value = 0.5,
    ) -> None: ...


class LIAFLSTM(Population):
    """LIAF neurons as the gates of an LSTM.

    Each of the four currents charges a membrane that leaks and is reset by its own spikes.

        for each k in i, f, c, o (Keras' order):
            u^k_t = I^k_t + v^k_{t-1}
            s^k_t = H(u^k_t - v_threshold)               H: `surrogate` (rectangle), `comparator` (">=")
            r^k_t = s^k_t v_reset + (1 - s^k_t) u^k_t    hard reset
            v^k_t = alpha r^k_t + beta                   multiplicative and additive leak
        i_t = S(u^i_t),   f_t = S(u^f_t),   o_t = S(u^o_t)                   S: the logistic function
        c_t = f_t c_{t-1} + i_t g(u^c_t)                 cell, g: `activation` (tanh)
        y_t = o_t g(c_t)                                 what the next layer receives, `analog`

    x is (T, B, 4 n), from Dense(n_in, 4 n).  Not recurrent unless told otherwise; recurrent=True feeds y back.
    With alpha = beta = 0 this is an LSTM cell (forget_bias = 0), and with recurrent=True the `LSTM`.  Of the
    four spikes only that of the output gate is handed out: `spike`, `v` and `theta` are s^o, u^o and
    v_threshold.  The spikes reset and are not sent.

        alpha        multiplicative leak, what remains of a membrane in one step (dimensionless)
        beta         additive leak, in the unit of the current
        v_threshold  threshold of all four membranes, in the unit of the current
        v_reset      value after a spike, in the unit of the current

    Leak and reset come after the gates, in the same step; nothing is scaled by dt.
    Source: LIAFLSTMCell of the code to Wu, Zhang, Lin, Li, Wang, Tang, LIAF-Net 2021.  Its comments write S and
    tanh, as here; its default functions are relu for the gates and selu for g; its beta and v_reset are 0.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'rectangle',
        comparator: str | None = '>=',
        activation: str | None = 'tanh',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = False,
        name: str | None = None,
        alpha: Value = 0.3,
        beta: Value = 0.0,
        v_threshold: Value = 0.5,
        v_reset: Value = 0.0,
    ) -> None: ...


class LIF(Population):
    """Leaky integrate-and-fire neuron; a spike resets the membrane in the same step.

        tau_mem dv/dt = v_leak - v + R I,   a spike when v crosses v_threshold

        u_t = alpha v_{t-1} + gain I_t + (1 - alpha) v_leak
        s_t = H(u_t - v_threshold)                          H: `surrogate`, comparator ">" or ">="
        v_t = u_t - s_t v_threshold                         reset="soft"
              u_t - s_t (u_t - v_reset)                     reset="hard"
              u_t                                           reset="none"

    The membrane that is handed out, `v`, is u_t, before the reset.  `reset_when="next"` subtracts s_{t-1}
    instead of s_t (model `LIFNext`, snnTorch's default).  `detach_reset=True` keeps the gradient from flowing
    through the spike of the reset.

        tau_mem      membrane time constant, in the unit of dt
        v_threshold  threshold, in the unit of v
        v_reset      value after a hard reset, in the unit of v
        v_leak       potential at rest, in the unit of v
        r            resistance: what a current of 1 adds to the membrane, see input_scale
        input_scale  gain = r ("1"; I in units of v per step), or
                     gain = r (1 - alpha) ("1-alpha"; I in the unit of v / r)
        refractory   time after a spike in which there is none, in the unit of dt (model `LIFRefractory`)
        integrator   alpha = exp(-dt / tau_mem) ("exponential"; exact with "1-alpha" where I stands still in a
                     step) or 1 - dt / tau_mem ("euler")

    The reset is not scaled by dt.  `init_state="rest"`: v = v_leak.  Source: Gerstner & Kistler 2002, section
    4.1; NIR's LIF (Pedersen et al. 2024).


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        tau_mem: Value = 20.0,
        v_threshold: Value = 1.0,
        v_reset: Value = 0.0,
        v_leak: Value = 0.0,
        r: Value = 1.0,
        reset: Literal['soft', 'hard', 'none'] = 'soft',
        input_scale: Literal['1', '1-alpha'] = '1',
        detach_reset: Literal[False, True] = False,
        integrator: Literal['exponential', 'euler'] = 'exponential',
        reset_when: Literal['same', 'next'] = 'same',
        refractory: float = 0.0,
    ) -> None: ...


class LSTM(Population):
    """Long short-term memory: a cell that gates write, keep and read.

    Four currents come to a neuron, in Keras' order i, f, c, o.

        i_t = S(I^i_t)                                   input gate, S: the logistic function
        f_t = S(I^f_t + forget_bias)                     forget gate
        c_t = f_t c_{t-1} + i_t g(I^c_t)                 cell, g: `activation` (tanh)
        o_t = S(I^o_t)                                   output gate
        h_t = o_t g(c_t)                                 what the next layer receives and what recurs, `analog`

        I^k_t = x^k_t + h_{t-1} U^k  for k in i, f, c, o:
        x (T, B, 4 n) from Dense(n_in, 4 n), U = `recurrent` (n, 4 n)

        forget_bias  added to the current of the forget gate.  1 is Keras' unit_forget_bias=True, which is the
                     initial value of a bias there: the same function.  0 for weights that bring their own
                     (PyTorch, trained Keras layers)

    Recurrent unless told otherwise, without a recurrent bias, as in Keras: Dense(m, 4 n) and LSTM(n) have
    4 n (m + n + 1) parameters.  Quantities are dimensionless and dt plays no part.  PyTorch orders the gates
    i, f, g, o as well (its g is the c here), holds transposed weights and has the second bias
    (`recurrent_bias_init="zeros"`).
    Source: Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber, Cummins 2000; its bias: Jozefowicz,
    Zaremba, Sutskever 2015.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = True,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        activation: str | None = 'tanh',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = False,
        name: str | None = None,
        forget_bias: Value = 1.0,
    ) -> None: ...


class PLIF(Population):
    """Leaky integrate-and-fire neuron with a learned leak: PLIF.

        u_t = v_{t-1} + k (I_t - (v_{t-1} - v_reset))                       input_scale="k"
              v_{t-1} - k (v_{t-1} - v_reset) + I_t                         input_scale="1"
        s_t = H(u_t - v_threshold)                                          H: `surrogate`, comparator ">" or ">="
        v_t = u_t - s_t (u_t - v_reset)                                     reset="hard"
              u_t - s_t v_threshold                                         reset="soft"
              u_t                                                           reset="none"

    k is what the membrane goes of its way in one step: 1 / tau in the paper, tau in steps.  It is the step of
    `LIF` with alpha = 1 - k; what is learned of k is its logit (learn_as="logit"), which keeps it between 0 and
    1.  The paper learns one k for a layer: learn="k", shared="k".  The membrane that is handed out, `v`, is u_t,
    before the reset.  `detach_reset=True` keeps the gradient from flowing through the spike of the reset.

        k            share of the way to its input that v goes in a step, between 0 and 1
        v_threshold  threshold, in the unit of v
        v_reset      value after a hard reset, and at rest, in the unit of v

    `init_state="rest"`: v = v_reset.  Source: Fang, Yu, Chen, Masquelier, Huang, Tian 2021 (arXiv 2007.05785)
    and their code.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'atan',
        comparator: str | None = '>=',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        k: Value = 0.5,
        v_threshold: Value = 1.0,
        v_reset: Value = 0.0,
        reset: Literal['hard', 'soft', 'none'] = 'hard',
        input_scale: Literal['k', '1'] = 'k',
        detach_reset: Literal[False, True] = False,
    ) -> None: ...


class RF(Population):
    """Resonate-and-fire neuron: a damped oscillator, which spikes where its real part is above the threshold.

        dz/dt = (-damping + i omega) z + I,   z = v + i w

        v_t = v_{t-1} + dt (-damping v_{t-1} - omega w_{t-1} + I_t)
        w_t = w_{t-1} + dt (omega v_{t-1} - damping w_{t-1})
        s_t = H(v_t - v_threshold)                                          H: `surrogate`, comparator ">" or ">="

    There is no reset: the neuron goes on swinging.  It answers inputs that come in its rhythm.  Both lines take
    the old values (Euler); without enough damping, below dt omega^2 / 2, the oscillation grows, which `BRF`
    mends.

        omega        angular frequency, in radians for each unit of dt, 0 or more
        damping      rate at which oscillations die away, per unit of dt, 0 or more (|b_offset| in the paper)
        v_threshold  threshold, in the unit of v

    Source: Izhikevich 2001; Higuchi, Kairat, Bohte, Otte 2024 (arXiv 2402.14603) and their code.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'double_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        omega: Value = 0.1,
        damping: Value = 0.01,
        v_threshold: Value = 1.0,
    ) -> None: ...


class AdLIF(Population):
    """Adaptive leaky integrate-and-fire neuron whose adaptation follows the membrane, too: SE-adLIF and EF-adLIF.

        tau_mem dv/dt = -v + I - w,   tau_adp dw/dt = -w + q (a v + b spikes)

        u_t = alpha v_{t-1} + (1 - alpha) (I_t - w_{t-1})                    alpha = exp(-dt / tau_mem)
        s_t = H(u_t - v_threshold)                                          H: `surrogate`, comparator ">", ">="
        v_t = u_t (1 - s_t)                                                 a hard reset to 0
        w_t = rho w_{t-1} + (1 - rho) q (a v_t     + b s_t)                 order="symplectic" (SE-adLIF)
              rho w_{t-1} + (1 - rho) q (a v_{t-1} + b s_{t-1})             order="euler" (EF-adLIF)
                                                                            rho = exp(-dt / tau_adp)

    The symplectic order keeps the oscillations of v and w stable for every dt.  The membrane that is handed out,
    `v`, is u_t, before the reset.  `detach_reset=True`, as in the paper, keeps the gradient from flowing through
    the spike of the reset.

        tau_mem      membrane time constant, in the unit of dt; the paper: from 5 to 25 ms
        tau_adp      time constant of the adaptation, in the unit of dt; the paper: from 60 to 300 ms
        v_threshold  threshold, in the unit of v
        a            how much of the membrane the adaptation takes up, from 0 to 1
        b            how much a spike adds to the adaptation, from 0 to 2
        q            scale of the adaptation

    `init_state="uniform"`: v ~ U(0, 1), the rest 0.  Source: Baronig, Ferrand, Sabathiel, Legenstein 2024
    (arXiv 2408.07517) and their code.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'symmetric_exponential',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        tau_mem: Value = 15.0,
        tau_adp: Value = 180.0,
        v_threshold: Value = 1.0,
        a: Value = 0.5,
        b: Value = 1.0,
        q: Value = 120.0,
        order: Literal['symplectic', 'euler'] = 'symplectic',
        detach_reset: Literal[False, True] = False,
    ) -> None: ...


class CSiLIF(Population):
    """LIF neuron with a complex membrane, parametrised as a state space model: C-SiLIF.

        z_t = alpha (z_{t-1} - v_threshold s_{t-1} / 2) + b I_t     alpha = exp(pace dt (-damping + i omega))
        s_t = H(2 Re z_t - v_threshold)                             H: `surrogate`, comparator ">" or ">="

    z = x + i y is carried as two real numbers; the membrane that is handed out, `v`, is 2 x_t (z and its
    conjugate).  What is learned of pace and damping is their logarithm.  `detach_reset=True` keeps the gradient
    from flowing through the spike of the reset.

        omega        angular frequency, in radians for each unit of the neuron's own time
        damping      rate at which z dies away, per unit of the neuron's own time
        pace         how fast the neuron's own time goes; the paper's time step, log-uniform from 0.01 to 0.5, is
                     pace dt
        b            gain of the input; the paper: U(0, 1)
        v_threshold  threshold, in the unit of v

    `init_state="uniform"`: x, y, s ~ U(0, 1), as in the paper.  Source: SSM-inspired LIF (2025), the
    authors' code.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'box',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        omega: Value = 3.141592653589793,
        damping: Value = 0.5,
        pace: Value = 0.1,
        b: Value = 0.5,
        v_threshold: Value = 1.0,
        detach_reset: Literal[False, True] = False,
    ) -> None: ...


class CubaLI(Population):
    """Current-based leaky integrator: a membrane without spikes behind a synapse that decays.

        tau_syn di/dt = -i + w_in S,   tau_mem dv/dt = v_leak - v + R i

        i_t = alpha_syn i_{t-1} + gain_syn S_t
        v_t = alpha v_{t-1} + gain i_t + (1 - alpha) v_leak

    The membrane takes the current of the same step.  It is the step of `LI` on i.

        tau_syn      time constant of the synapse, in the unit of dt
        tau_mem      membrane time constant, in the unit of dt
        v_leak       potential at rest, in the unit of v
        r            resistance: what a current of 1 adds to the membrane, see input_scale
        w_in         what an input of 1 adds to the current, see input_scale
        input_scale  gain = r (1 - alpha), gain_syn = w_in (1 - alpha_syn) ("1-alpha") or
                     gain = r, gain_syn = w_in ("1")
        integrator   alphas are exp(-dt / tau) ("exponential") or 1 - dt / tau ("euler")

    Source: NIR's CubaLI (Pedersen et al. 2024).


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        tau_syn: Value = 5.0,
        tau_mem: Value = 20.0,
        v_leak: Value = 0.0,
        r: Value = 1.0,
        w_in: Value = 1.0,
        input_scale: Literal['1-alpha', '1'] = '1-alpha',
        integrator: Literal['exponential', 'euler'] = 'exponential',
    ) -> None: ...


class CubaLIF(Population):
    """Current-based leaky integrate-and-fire neuron: a synapse that decays, and a membrane that spikes.

        tau_syn di/dt = -i + w_in S,   tau_mem dv/dt = v_leak - v + R i,   a spike when v crosses v_threshold

        i_t = alpha_syn i_{t-1} + gain_syn S_t
        u_t = alpha v_{t-1} + gain i_t + (1 - alpha) v_leak
        s_t, v_t: spike and reset of `LIF`

    The membrane takes the current of the same step.  It is the step of `LIF` on i.

        tau_syn      time constant of the synapse, in the unit of dt
        tau_mem      membrane time constant, in the unit of dt
        v_threshold  threshold, in the unit of v
        v_reset      value after a hard reset, in the unit of v
        v_leak       potential at rest, in the unit of v
        r            resistance: what a current of 1 adds to the membrane, see input_scale
        w_in         what an input of 1 adds to the current, see input_scale
        refractory   time after a spike in which there is none, in the unit of dt (model `CubaLIFRefractory`)
        input_scale  gain = r, gain_syn = w_in ("1") or gain = r (1 - alpha), gain_syn = w_in (1 - alpha_syn)
                     ("1-alpha")
        integrator   alphas are exp(-dt / tau) ("exponential") or 1 - dt / tau ("euler")

    Source: NIR's CubaLIF (Pedersen et al. 2024); snnTorch's Synaptic is input_scale="1", reset_when "next" apart.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        tau_syn: Value = 5.0,
        tau_mem: Value = 20.0,
        v_threshold: Value = 1.0,
        v_reset: Value = 0.0,
        v_leak: Value = 0.0,
        r: Value = 1.0,
        w_in: Value = 1.0,
        reset: Literal['soft', 'hard', 'none'] = 'soft',
        input_scale: Literal['1', '1-alpha'] = '1',
        detach_reset: Literal[False, True] = False,
        integrator: Literal['exponential', 'euler'] = 'exponential',
        refractory: float = 0.0,
    ) -> None: ...


class Integrator(Population):
    """Integrator: a sum of its current over time, without leak and without spikes.

        dv/dt = R I

        v_t = v_{t-1} + r dt I_t

    It is the step of `LI` with alpha = 1.  r: what a current of 1 adds in a unit of time.
    Source: NIR's I (Pedersen et al. 2024).


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        r: Value = 1.0,
    ) -> None: ...


class SiLIF(Population):
    """LIF neuron with an adaptation, parametrised as a state space model: SiLIF.

        w_t = rho w_{t-1} + a v_{t-1} + b s_{t-1}                           rho   = exp(-pace dt / tau_adp)
        v_t = alpha (v_{t-1} - v_threshold s_{t-1}) + (1 - alpha) (I_t - w_t)
        s_t = H(v_t - v_threshold)                                          alpha = exp(-pace dt / tau_mem)

    H: `surrogate`, comparator ">" or ">=".  The adaptation moves first and takes the old v and s; the membrane
    takes the new adaptation.  What is learned of tau_mem, tau_adp and pace is their logarithm.
    `detach_reset=True` keeps the gradient from flowing through the spike of the reset.

        tau_mem      membrane time constant, in the unit of dt; the paper: log-uniform, 4 to 100 ms
        tau_adp      time constant of the adaptation, in the unit of dt; the paper: log-uniform, 100 to 400 ms
        pace         how fast the neuron's own time goes (the paper's time step is pace dt)
        a            what the membrane adds to the adaptation in a step, from 0 to 1
        b            what a spike adds to the adaptation, from 0 to 2
        v_threshold  threshold, in the unit of v

    `init_state="uniform"`: v, w, s ~ U(0, 1), as in the paper.  Source: SSM-inspired LIF (2025), the
    authors' code.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = False,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'box',
        comparator: str | None = '>',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = 'zeros',
        name: str | None = None,
        tau_mem: Value = 20.0,
        tau_adp: Value = 200.0,
        pace: Value = 1.0,
        a: Value = 0.5,
        b: Value = 1.0,
        v_threshold: Value = 1.0,
        detach_reset: Literal[False, True] = False,
    ) -> None: ...


class SimpleRNN(Population):
    """Simple recurrent unit: a nonlinear function of its current, fed back.

        h_t = g(I_t),   I_t = x_t + h_{t-1} U            g: `activation` (tanh), U = `recurrent` (n, n)

    What the next layer receives and what recurs is h, `analog`.  Recurrent unless told otherwise, without a
    recurrent bias, as in Keras: Dense(m, n) and SimpleRNN(n) have n (m + n + 1) parameters.  Quantities are
    dimensionless and dt plays no part.  PyTorch's RNN holds transposed weights and has the second bias
    (`recurrent_bias_init="zeros"`).  Source: Elman 1990.


    Further arguments: see `Population`.
    """

    def __init__(
        self,
        n: int | tuple[int, ...] | None = None,
        *,
        recurrent: bool | str | Delays | dict[str, Any] | None = True,
        learn: Names = (),
        shared: Names = (),
        per_channel: Names = (),
        bounds: dict[str, Any] | None = None,
        learn_as: str | dict[str, str] | None = None,
        surrogate: str | dict[str, Any] | surrogates.Surrogate | None = 'multi_gaussian',
        comparator: str | None = '>',
        activation: str | None = 'tanh',
        output: str | None = None,
        init_state: str = 'zeros',
        recurrent_init: Value = 'orthogonal',
        recurrent_bias_init: Value | bool | None = False,
        name: str | None = None,
    ) -> None: ...

"""A slow, independent oracle, written from the papers: scalars, Python loops, forward-mode differentiation.

It shares nothing with the library.  Gradients come from dual numbers carried forward through time, where the
library goes backward; a spike is 0 or 1 with the surrogate psi as its derivative.
"""

import math

import numpy as np


class Dual:
    """A number with its derivatives with respect to a set of variables."""

    __slots__ = ("d", "x")

    def __init__(self, x, d=0.0):
        self.x, self.d = float(x), d

    def __add__(self, o):
        return Dual(self.x + o.x, self.d + o.d) if isinstance(o, Dual) else Dual(self.x + o, self.d)

    def __mul__(self, o):
        if isinstance(o, Dual):
            return Dual(self.x * o.x, self.d * o.x + self.x * o.d)
        return Dual(self.x * o, self.d * o)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return self * -1.0

    def __sub__(self, o):
        return self + -o

    def __rsub__(self, o):
        return -self + o

    def __truediv__(self, o):
        return self * (o.power(-1) if isinstance(o, Dual) else 1 / o)

    def __rtruediv__(self, o):
        return self.power(-1) * o

    def power(self, n):
        return Dual(self.x ** n, n * self.x ** (n - 1) * self.d)

    def exp(self):
        return Dual(math.exp(self.x), math.exp(self.x) * self.d)

    def log(self):
        return Dual(math.log(self.x), self.d / self.x)


def variables(**named):
    """Duals for all numbers of the named arrays, and a function that reads a gradient into named arrays."""
    arrays = {name: np.asarray(a, float) for name, a in named.items()}
    total = sum(a.size for a in arrays.values())
    out, place, start = {}, {}, 0
    for name, a in arrays.items():
        flat = [Dual(v, np.eye(total)[start + i]) for i, v in enumerate(a.ravel())]
        out[name] = np.array(flat, dtype=object).reshape(a.shape)
        place[name] = (start, a.shape)
        start += a.size

    def read(d):
        return {name: d[s:s + int(np.prod(shape))].reshape(shape) for name, (s, shape) in place.items()}

    return out, read


# ---- surrogates, by their formulas


def normal(x, m, s):
    return math.exp(-(x - m) ** 2 / (2 * s * s)) / (s * math.sqrt(2 * math.pi))


def psi_gaussian(x, gamma=0.5, sigma=0.5):
    return gamma * normal(x, 0, sigma)


def psi_multi_gaussian(x, gamma=0.5, sigma=0.5, h=0.15, s=6.0):
    main = normal(x, 0, sigma)
    right, left = normal(x, sigma, s * sigma), normal(x, -sigma, s * sigma)
    return gamma * ((1 + h) * main - h * right - h * left)


def psi_double_gaussian(x, gamma=0.5, sigma=0.5, h=0.15, s=6.0):
    return gamma * ((1 + h) * normal(x, 0, sigma) - 2 * h * normal(x, 0, s * sigma))


def psi_symmetric_exponential(x, alpha=5.0, c=0.4):
    return c * alpha / (2 * math.exp(alpha * abs(x)))


def psi_box(x):
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def psi_triangle(x, gamma=0.5, slope=1.0):
    return gamma * max(0.0, 1 - slope * abs(x))


def psi_exponential(x, gamma=0.5, slope=5.0):
    return gamma * math.exp(-slope * abs(x))


def psi_rectangle(x, a=0.5):
    return 1 / (2 * a) if abs(x) < a else 0.0


def psi_superspike(x, slope=25.0):
    return 1 / (1 + slope * abs(x)) ** 2


def psi_atan(x, alpha=2.0):
    return alpha / 2 / (1 + (math.pi * alpha * x / 2) ** 2)


def psi_sigmoid(x, slope=4.0):
    return slope / (2 * math.cosh(slope * x / 2)) ** 2


PSI = {name[4:]: f for name, f in globals().items() if name.startswith("psi_")}


def spike(x, psi, inclusive=False):
    x = x if isinstance(x, Dual) else Dual(x)
    return Dual(float(x.x >= 0 if inclusive else x.x > 0), psi(x.x) * x.d)


def constant(x):
    """x without its derivative: `detach`."""
    return Dual(x.x if isinstance(x, Dual) else x)


# ---- neurons: one neuron, one step, as the papers write it


def decay(tau, dt=1.0):
    return (-dt / tau).exp() if isinstance(tau, Dual) else math.exp(-dt / tau)


def alif(current, u, s, eta, *, tau_mem, tau_adp, v_threshold, beta, psi=psi_multi_gaussian,
         inclusive=False, dt=1.0):
    """SRNN neuron (Yin et al.): (u, s, eta, theta)."""
    alpha, rho = decay(tau_mem, dt), decay(tau_adp, dt)
    eta = rho * eta + (1 - rho) * s
    theta = v_threshold + beta * eta
    u = alpha * u + (1 - alpha) * current - theta * s
    return u, spike(u - theta, psi, inclusive), eta, theta


def lif(current, v, s, *, tau_mem, v_threshold, v_reset, reset, when, scale, v_leak=0.0, r=1.0,
        integrator="exponential", detach=False, psi=psi_multi_gaussian, inclusive=False, dt=1.0):
    """LIF neuron: (membrane that was compared, spike, membrane that is carried on)."""
    u = li(current, v, tau_mem=tau_mem, scale=scale, v_leak=v_leak, r=r, integrator=integrator, dt=dt)
    return compared(u, s, v_threshold, v_reset, reset, when, detach, psi, inclusive)


def compared(u, s, v_threshold, v_reset, reset, when, detach, psi, inclusive):
    """Spike and reset: (membrane that was compared, spike, membrane that is carried on)."""
    if when == "next":
        u = reset_by(u, constant(s) if detach else s, v_threshold, v_reset, reset)
    s = spike(u - v_threshold, psi, inclusive)
    after = u if when == "next" else reset_by(u, constant(s) if detach else s, v_threshold, v_reset, reset)
    return u, s, after


def reset_by(u, s, v_threshold, v_reset, reset):
    if reset == "soft":
        return u - s * v_threshold
    if reset == "hard":
        return s * v_reset + (1 - s) * u
    return u


def relu(x):
    return x if x > 0 else 0.0


def relu_slope(x):
    return float(x > 0)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def sigmoid_slope(x):
    return 1 / (2 + math.exp(x) + math.exp(-x))


def tanh_slope(x):
    return 1 / math.cosh(x) ** 2


# the constants of selu as they are in float32: 1.0507009873554805 and its product with 1.6732632423543772
SCALE, SCALED_ALPHA = 1.0507010221481323, 1.7580993175506592


def selu(x):
    return SCALE * x if x > 0 else SCALED_ALPHA * (math.exp(x) - 1)


def selu_slope(x):
    return SCALE if x > 0 else SCALED_ALPHA * math.exp(x)


# name -> (value, slope)
ACTIVATIONS = {
    "identity": (float, lambda x: 1.0),
    "relu": (relu, relu_slope),
    "sigmoid": (sigmoid, sigmoid_slope),
    "tanh": (math.tanh, tanh_slope),
    "selu": (selu, selu_slope),
}


def activate(name, x):
    f, slope = ACTIVATIONS[name]
    x = x if isinstance(x, Dual) else Dual(x)
    return Dual(f(x.x), slope(x.x) * x.d)


def liaf(current, v, *, alpha, beta, v_threshold, v_reset, related, detach=False, activation="relu",
         psi=psi_rectangle, inclusive=True):
    """LIAF-Net, in the order of the paper's list: (U, F, V, Y)."""
    u = current + v
    f = spike(u - v_threshold, psi, inclusive)
    held = constant(f) if detach else f
    r = held * v_reset + (1 - held) * u
    return u, f, alpha * r + beta, activate(activation, u - v_threshold if related else u)


_decay = decay      # the ARLIF has a setting of this name


def arlif(current, v, last, eta, *, decay, v_threshold, v_reset, self_weight, tau_adp, beta, reset, related,
          detach=False, activation="selu", psi=psi_rectangle, inclusive=False, dt=1.0):
    """ARLIF as the notes on the paper's code have it, with leak and reset of the last step at its end.

    (U, F, theta, V, Y, eta)
    """
    theta = v_threshold + beta * eta
    u = v + current + last * self_weight
    f = spike(u - theta, psi, inclusive)
    held = constant(f) if detach else f
    after = u * (1 - held) + v_reset * held if reset == "hard" else u - theta * held
    rho = _decay(tau_adp, dt)
    y = activate(activation, u - theta if related else u)
    return u, f, theta, after * logistic(decay), y, eta * rho + f * (1 - rho)


def logistic(x):
    return activate("sigmoid", x)


def liaf_lstm(currents, membranes, c, *, alpha, beta, v_threshold, v_reset, activation="tanh",
              psi=psi_rectangle, inclusive=True):
    """The authors' LIAFLSTMCell, gates i, f, g, o, with the neuron of LIAF-Net.

    (u, spikes, membranes after leak, c, y)
    """
    u, spikes, after = [], [], []
    for x, v in zip(currents, membranes, strict=True):
        membrane, spiked, leaked, _ = liaf(
            x, v, alpha=alpha, beta=beta, v_threshold=v_threshold, v_reset=v_reset, related=False,
            activation="identity", psi=psi, inclusive=inclusive)
        u.append(membrane)
        spikes.append(spiked)
        after.append(leaked)
    i, f, g, o = logistic(u[0]), logistic(u[1]), activate(activation, u[2]), logistic(u[3])
    c = c * f + i * g
    return u, spikes, after, c, activate(activation, c) * o


def lstm(i, f, c, o, cell, *, forget_bias=0.0, activation="tanh"):
    """(cell, h), as Keras writes it."""
    cell = logistic(f + forget_bias) * cell + logistic(i) * activate(activation, c)
    return cell, logistic(o) * activate(activation, cell)


def gru(z, r, h, h_recurrent, before, *, activation="tanh"):
    """Keras, reset_after=True: the new h."""
    z = logistic(z)
    return z * before + (1 - z) * activate(activation, h + logistic(r) * h_recurrent)


def gru_before(x, h, weight, bias, *, activation="tanh"):
    """Keras, reset_after=False: h after each step of a sample; x (T, 3 n), weight (n, 3 n), gates z, r, h."""
    n, hs = len(h), []
    of_z, of_r, of_h = slice(n), slice(n, 2 * n), slice(2 * n, None)

    def current(row, gate, fed_back):
        return row[gate] + bias[gate] + fed_back @ weight[:, gate]

    for row in x:
        z = np.array([logistic(v) for v in current(row, of_z, h)])
        r = np.array([logistic(v) for v in current(row, of_r, h)])
        new = np.array([activate(activation, v) for v in current(row, of_h, r * h)])
        h = z * h + (1 - z) * new
        hs.append(h)
    return np.array(hs)


def liaf_gru(z, r, h, h_recurrent, before, *, alpha, v_threshold, activation="relu", psi=psi_rectangle,
             inclusive=True):
    """The authors' LIAFGRUCell, but with the membrane of the same step in the leak: (u, spike, y, new h)."""
    z = logistic(z)
    u = (1 - z) * before + z * activate("tanh", h + logistic(r) * h_recurrent)
    s = spike(u - v_threshold, psi, inclusive)
    return u, s, activate(activation, u), alpha * u * (1 - s)


def li(current, v, *, tau_mem, scale, v_leak=0.0, r=1.0, integrator="exponential", dt=1.0):
    """Leaky integrator; NIR's exact and Euler step where scale is "1-alpha"."""
    if scale == "1-alpha":
        goal = v_leak + r * current
        return v + (dt / tau_mem) * (goal - v) if integrator == "euler" else \
            goal + decay(tau_mem, dt) * (v - goal)
    alpha = decay(tau_mem, dt) if integrator == "exponential" else 1 - dt / tau_mem
    return v_leak + alpha * (v - v_leak) + r * current


def synapse(x, i, *, tau_syn, w_in, scale, integrator, dt=1.0):
    """Current behind a synapse that decays."""
    return li(x, i, tau_mem=tau_syn, scale=scale, r=w_in, integrator=integrator, dt=dt)


def cuba(x, v, i, *, tau_syn, w_in, tau_mem, v_leak, r, scale, integrator, dt=1.0):
    """(membrane, current) of a leaky integrator behind a synapse; the membrane takes the new current."""
    i = synapse(x, i, tau_syn=tau_syn, w_in=w_in, scale=scale, integrator=integrator, dt=dt)
    return li(i, v, tau_mem=tau_mem, scale=scale, v_leak=v_leak, r=r, integrator=integrator, dt=dt), i


# ---- one sample through an SRNN: dense, recurrent ALIF, dense, ALIF membrane


def product(x, w, b):
    """x W + b, element by element."""
    return [sum((x[k] * w[k][n] for k in range(len(x))), b[n]) for n in range(len(b))]


def srnn(x, p, *, beta, v_threshold, eta0, psi=psi_multi_gaussian):
    """One sample through dense, recurrent ALIF, dense, ALIF: (membranes (T, n_out), hidden spikes (T, n)).

    x: (T, n_in).  p: arrays of numbers or Duals.  beta, v_threshold: of the hidden and the output layer.
    """
    def layer(number, currents, states):
        kind = {"v_threshold": v_threshold[number - 1], "beta": beta[number - 1], "psi": psi}
        taus = zip(p[f"tau_mem{number}"], p[f"tau_adp{number}"], strict=True)
        return [alif(current, *state, tau_mem=tau_mem, tau_adp=tau_adp, **kind)[:3]
                for current, state, (tau_mem, tau_adp) in zip(currents, states, taus, strict=True)]

    hidden, output = ([(Dual(0), Dual(0), Dual(eta0))] * len(p[b]) for b in ("b1", "b2"))
    membranes, spikes = [], []
    for row in x:
        forward = product([float(v) for v in row], p["w1"], p["b1"])
        back = product([h[1] for h in hidden], p["v"], p["bv"])
        hidden = layer(1, [i + r for i, r in zip(forward, back, strict=True)], hidden)
        spikes.append([h[1] for h in hidden])
        output = layer(2, product(spikes[-1], p["w2"], p["b2"]), output)
        membranes.append([o[0] for o in output])
    return membranes, spikes


def cross_entropy(y, label):
    """-log softmax(y)[label] of Duals."""
    top = max(v.x for v in y)
    return sum(((v - top).exp() for v in y), Dual(0)).log() - (y[label] - top)

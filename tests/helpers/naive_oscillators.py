"""The neurons of adLIF, PLIF, resonate-and-fire and SiLIF: a neuron, a step, in plain and complex numbers.

Each takes (settings, options, current, state) and gives (out, state), as their papers and their authors'
code write them; dt is 1.
"""

import cmath
import math


def fires(x, s):
    return float(x >= 0 if s["inclusive"] else x > 0)


def adlif(s, options, current, state):
    v, w, spike = state["v"], state["w"], state["spike"]
    a_u, a_w = math.exp(-1 / s["tau_mem"]), math.exp(-1 / s["tau_adp"])
    u_hat = a_u * v + (1 - a_u) * (current - w)
    z = fires(u_hat - s["v_threshold"], s)
    u = 0.0 if z else u_hat
    if options["order"] == "symplectic":
        w = a_w * w + (1 - a_w) * s["q"] * (s["a"] * u + s["b"] * z)
    else:
        w = a_w * w + (1 - a_w) * s["q"] * (s["a"] * v + s["b"] * spike)
    return {"spike": z, "v": u_hat, "theta": s["v_threshold"]}, {"v": u, "spike": z, "w": w}


def plif(s, options, current, state):
    v, k, rest = state["v"], s["k"], s["v_reset"]
    h = v + (current - (v - rest)) * k if options["input_scale"] == "k" else v - (v - rest) * k + current
    z = fires(h - s["v_threshold"], s)
    after = {"hard": rest if z else h, "soft": h - z * s["v_threshold"], "none": h}[options["reset"]]
    return {"spike": z, "v": h, "theta": s["v_threshold"]}, {"v": after}


def rf(s, options, current, state):
    z = complex(state["v"], state["w"])
    z = z + (complex(-s["damping"], s["omega"]) * z + current)
    out = {"spike": fires(z.real - s["v_threshold"], s), "v": z.real, "theta": s["v_threshold"]}
    return out, {"v": z.real, "w": z.imag}


def brf(s, options, current, state):
    z, q = complex(state["v"], state["w"]), state["q"]
    b = -1 + math.sqrt(1 - s["omega"] ** 2) - s["damping"] - q
    z = z + (complex(b, s["omega"]) * z + current)
    theta = s["v_threshold"] + q
    spike = fires(z.real - theta, s)
    after = {"v": z.real, "w": z.imag, "q": s["gamma"] * q + spike}
    return {"spike": spike, "v": z.real, "theta": theta}, after


def hrf(s, options, current, state):
    u, v, q = state["v"], state["w"], state["q"]
    b = 0.005 * s["omega"] ** 2 + s["damping"] + q
    v += u
    u += current - 2 * b * u - s["omega"] ** 2 * v
    theta = s["v_threshold"] + q
    spike = fires(u - theta, s)
    return {"spike": spike, "v": u, "theta": theta}, {"v": u, "w": v, "q": s["gamma"] * q + spike}


def silif(s, options, current, state):
    u, spike = state["v"], state["spike"]
    alpha, beta = math.exp(-s["pace"] / s["tau_mem"]), math.exp(-s["pace"] / s["tau_adp"])
    w = beta * state["w"] + s["a"] * u + s["b"] * spike
    u = alpha * (u - s["v_threshold"] * spike) + (1 - alpha) * (current - w)
    spike = fires(u - s["v_threshold"], s)
    return {"spike": spike, "v": u, "theta": s["v_threshold"]}, {"v": u, "spike": spike, "w": w}


def csilif(s, options, current, state):
    u = complex(state["x"], state["y"])
    alpha = cmath.exp(s["pace"] * complex(-s["damping"], s["omega"]))
    u = alpha * (u - s["v_threshold"] * state["spike"] / 2) + s["b"] * current
    spike = fires(2 * u.real - s["v_threshold"], s)
    out = {"spike": spike, "v": 2 * u.real, "theta": s["v_threshold"]}
    return out, {"x": u.real, "y": u.imag, "spike": spike}


def alif_same(s, options, current, state):
    rho, alpha = math.exp(-1 / s["tau_adp"]), math.exp(-1 / s["tau_mem"])
    eta = rho * state["eta"] + (1 - rho) * state["spike"]
    theta = s["v_threshold"] + s["beta"] * eta
    u = alpha * state["v"] + (1 - alpha) * current
    spike = fires(u - theta, s)
    return {"spike": spike, "v": u, "theta": theta}, {"v": u - theta * spike, "spike": spike, "eta": eta}

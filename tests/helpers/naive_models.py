"""The neurons of naive.py under the names and in the tuples of our models."""

import naive
import naive_oscillators


def naive_step(model, options, settings, currents, state, inclusive):
    """(out, state) of one neuron by naive.py."""
    assert model.name in NAIVE, f"write the equations of {model.name} into naive.py"
    if not model.spiking:
        return NAIVE[model.name](settings, options, currents, state)
    return NAIVE[model.name]({**settings, "inclusive": inclusive}, options, currents, state)


def naive_lstm(s, options, currents, state):
    c, h = naive.lstm(*currents, state["c"], activation="selu", **s)
    return {"c": c, "analog": h}, {"c": c}


def naive_gru(s, options, currents, state):
    h = naive.gru(*currents, state["analog"], activation="selu")
    return {"analog": h}, {"analog": h}


def naive_gru_before(s, options, currents, state):
    # the product of the candidate is in its current
    h = naive.gru(*currents, 0.0, state["analog"], activation="selu")
    return {"analog": h}, {"analog": h}


def naive_simple_rnn(s, options, currents, state):
    h = naive.activate("selu", currents[0])
    return {"analog": h}, {"analog": h}


def naive_liaf_lstm(s, options, currents, state):
    membranes = [state[f"v_{k}"] for k in "ifco"]
    u, spikes, after, c, y = naive.liaf_lstm(currents, membranes, state["c"], activation="selu", **s)
    out = {"spike": spikes[3], "v": u[3], "theta": s["v_threshold"], "c": c, "analog": y}
    return out, {**dict(zip(("v_i", "v_f", "v_c", "v_o"), after, strict=True)), "c": c}


def naive_liaf_gru(s, options, currents, state):
    u, spike, y, h = naive.liaf_gru(*currents, state["h"], activation="selu", **s)
    return {"spike": spike, "v": u, "theta": s["v_threshold"], "analog": y, "h": h}, {"h": h}


def naive_alif(s, options, currents, state):
    u, spike, eta, theta = naive.alif(currents[0], state["v"], state["spike"], state["eta"], **s)
    return {"spike": spike, "v": u, "theta": theta}, {"v": u, "spike": spike, "eta": eta}


def naive_lif(s, options, currents, state, when="same"):
    u, spike, after = naive.lif(currents[0], state["v"], state.get("spike", 0.0), when=when,
                                reset=options["reset"], scale=options["input_scale"],
                                integrator=options["integrator"], detach=options["detach_reset"], **s)
    return {"spike": spike, "v": u, "theta": s["v_threshold"]}, {"v": after, "spike": spike}


def naive_lif_next(s, options, currents, state):
    return naive_lif(s, options, currents, state, "next")


def naive_liaf(s, options, currents, state):
    u, spike, after, y = naive.liaf(currents[0], state["v"], related=options["threshold_related"],
                                    detach=options["detach_reset"], activation="selu", **s)
    return {"spike": spike, "v": u, "theta": s["v_threshold"], "analog": y}, {"v": after}


def naive_arlif(s, options, currents, state):
    u, spike, theta, v, y, eta = naive.arlif(
        currents[0], state["v"], state["last"], state["eta"], related=options["threshold_related"],
        detach=options["detach_reset"], reset=options["reset"], **s)
    return {"spike": spike, "v": u, "theta": theta, "analog": y}, {"v": v, "last": y, "eta": eta}


def naive_li(s, options, currents, state):
    v = naive.li(currents[0], state["v"], scale=options["input_scale"], integrator=options["integrator"], **s)
    return {"v": v}, {"v": v}


def naive_integrator(s, options, currents, state):
    v = state["v"] + s["r"] * currents[0]
    return {"v": v}, {"v": v}


def naive_cuba_li(s, options, currents, state):
    v, i = naive.cuba(currents[0], state["v"], state["i"], scale=options["input_scale"],
                      integrator=options["integrator"], **s)
    return {"v": v}, {"v": v, "i": i}


def naive_reset(s, options, u):
    """Spike and reset of a membrane."""
    u, spike, after = naive.compared(u, 0.0, s["v_threshold"], s["v_reset"], options["reset"], "same",
                                     options["detach_reset"], naive.psi_multi_gaussian, s["inclusive"])
    return {"spike": spike, "v": u, "theta": s["v_threshold"]}, after


def naive_if(s, options, currents, state):
    out, after = naive_reset(s, options, state["v"] + s["r"] * currents[0])
    return out, {"v": after}


def naive_cuba_lif(s, options, currents, state):
    of_membrane = {name: s[name] for name in ("tau_syn", "tau_mem", "v_leak", "r", "w_in")}
    u, i = naive.cuba(currents[0], state["v"], state["i"], scale=options["input_scale"],
                      integrator=options["integrator"], **of_membrane)
    out, after = naive_reset(s, options, u)
    return out, {"v": after, "i": i}


def naive_refractory(plain):
    """A neuron whose spikes are held back for so many steps after one."""
    def with_waiting(s, options, currents, state):
        s, state = dict(s), dict(state)
        steps, wait = s.pop("refractory"), state.pop("wait")
        out, after = plain(s, options, currents, state)
        waits = number(wait) > 0
        if waits:
            spike = naive.constant(0.0) if hasattr(out["spike"], "x") else 0.0
            out = {**out, "spike": spike}
            after = {**after, "v": out["v"], **({"spike": spike} if "spike" in after else {})}
        fired = number(out["spike"]) > 0.5
        return out, {**after, "wait": float(round(steps)) if fired else max(number(wait) - 1, 0.0)}
    return with_waiting


def alone(neuron):
    """Of a neuron with one current."""
    return lambda s, options, currents, state: neuron(s, options, currents[0], state)


NAIVE = {"LSTM": naive_lstm, "GRU": naive_gru, "GRUBefore": naive_gru_before, "SimpleRNN": naive_simple_rnn,
         "LIAFLSTM": naive_liaf_lstm, "LIAFGRU": naive_liaf_gru, "ALIF": naive_alif, "LIF": naive_lif,
         "LIFNext": naive_lif_next, "LIAF": naive_liaf, "ARLIF": naive_arlif, "LI": naive_li,
         "Integrator": naive_integrator, "IF": naive_if, "CubaLI": naive_cuba_li, "CubaLIF": naive_cuba_lif,
         **{f"{name}Refractory": naive_refractory(plain) for name, plain in (
             ("LIF", naive_lif), ("IF", naive_if), ("ALIF", naive_alif), ("CubaLIF", naive_cuba_lif))},
         **{name: alone(getattr(naive_oscillators, name.lower())) for name in (
             "AdLIF", "PLIF", "RF", "BRF", "HRF", "SiLIF", "CSiLIF")},
         "ALIFSame": alone(naive_oscillators.alif_same)}


def number(x):
    return x.x if isinstance(x, naive.Dual) else float(x)

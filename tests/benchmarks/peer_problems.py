"""What peers need of a problem of `numsnn bench`, whatever the library is: settings, states, slopes."""

import numpy as np

import numsnn as ns

LR = 1e-9


def constants(net):
    """Settings that are not learned, by "layer.name"."""
    return {f"{name}.{key}": np.asarray(a)
            for name, layer in net.layers.items() for key, a in layer.fixed.items()}


def dense(x):
    return x.dense(np.float32) if isinstance(x, ns.Spikes) else np.asarray(x, np.float32)


def place(torch, problem):
    """Where PyTorch works."""
    return torch.device("cuda" if problem.net.device == "cuda" and torch.cuda.is_available() else "cpu")


def attempted(peer, make):
    """make(case, problem); on a GPU its step is tried once, and what fails there is said and left out."""
    def tried(case, problem):
        if problem.net.device != "cuda":
            return make(case, problem)
        try:
            step = make(case, problem)
            if step is not None:
                step()
        except Exception as error:      # noqa: BLE001  whatever the library says of this machine
            print(f"{peer} does not work here ({case}): {type(error).__name__}: {str(error)[:500]}")
            return None
        return step
    return tried


def slope(surrogate, x, exp):
    """Of the surrogates that the cases use."""
    def normal(mean, deviation):
        return exp(-(x - mean) ** 2 / (2 * deviation ** 2)) / (deviation * (2 * np.pi) ** 0.5)

    c = surrogate.parameters
    gamma, sigma = c["gamma"], c["sigma"]
    if surrogate.name == "gaussian":
        return gamma * normal(0, sigma)
    h, wide = c["h"], c["s"] * sigma
    return gamma * ((1 + h) * normal(0, sigma) - h * normal(sigma, wide) - h * normal(-sigma, wide))


def supported(net):
    """Whether PyTorch and JAX have all that the network needs here."""
    for layer in net.layers.values():
        if not isinstance(layer, (ns.Dense, ns.ALIF, ns.LI, ns.OverTime)):
            return False
        if isinstance(layer, ns.ALIF) and layer.surrogate.name not in ("gaussian", "multi_gaussian"):
            return False
    return True


def populations(problem):
    """(dense layer, population) pairs, and the OverTime or None."""
    layers = list(problem.net.layers.items())
    last = layers.pop()[1] if isinstance(layers[-1][1], ns.OverTime) else None
    return list(zip(layers[::2], layers[1::2], strict=True)), last

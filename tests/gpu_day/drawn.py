"""Random networks that a GPU runs: of a number always the same one.

All neuron models take their turns; options, settings that are learned, what recurs and what is handed out,
the layers around, sizes, padding and what comes in are drawn.

A spike is the only jump in them: where none flips, answers and gradients differ by rounding alone.  So
surrogates and activations have no corners, and the largest of several is taken of spikes only.  What acts
otherwise in training than in a run stands where nothing spikes, because spikes are compared in runs.
"""

from typing import Any, NamedTuple

import numpy as np

import numsnn as ns
from numsnn.layers.factory import POPULATIONS


class Most(NamedTuple):
    """The largest sizes."""
    steps: int
    batch: int
    units: int
    side: int       # of a picture


class Drawn(NamedTuple):
    net: ns.Network         # on the reference device
    x: Any                  # Spikes or values (T, B, N), or tokens (T, B)
    labels: np.ndarray
    lengths: np.ndarray | None


FULL, FEW = Most(64, 32, 160, 12), Most(5, 3, 9, 5)
CLASSES = 4
SURROGATES = ("multi_gaussian", "gaussian", "double_gaussian", "exponential", "superspike", "atan", "sigmoid")
ACTIVATIONS = ("identity", "sigmoid", "tanh")


def one(rng, among):
    """One of several, whatever they are."""
    return list(among)[rng.integers(len(list(among)))]


def many(rng, most):
    """A number up to `most`, small ones as often as large ones."""
    return int(np.exp(rng.uniform(0, np.log(most + 1))))


def network(seed: int, most: Most) -> Drawn:
    rng, names = np.random.default_rng([seed, 25]), sorted(POPULATIONS)
    name = names[seed % len(names)]
    simple = [n for n in names if len(POPULATIONS[n].model.feedforward) == 1]
    kinds = {"features": features, "tokens": tokens, **({"pictures": pictures} if name in simple else {})}
    steps, batch = 2 + many(rng, most.steps - 2), many(rng, most.batch)
    layers, x, shape = one(rng, kinds.values())(rng, name, most, (steps, batch))
    n = layers.pop()
    answer, per_step = readout(rng, n)
    net = ns.Network(*layers, *answer, input_shape=shape, device="reference", seed=seed)
    labels = rng.integers(0, CLASSES, (steps, batch) if per_step else batch)
    lengths = rng.integers(2, steps + 1, batch) if rng.random() < 0.3 else None
    return Drawn(net, x, labels, lengths)


# ---- what comes in, and the layers behind it; the last in the list is how many features they hand out


def features(rng, name, most, shape):
    n = many(rng, most.units)
    rate = rng.uniform(0.02, 0.4)
    x = one(rng, (ns.Spikes.from_dense(rng.random((*shape, n)) < rate),
                  ns.Spikes.from_dense(rng.poisson(rate, (*shape, n))),
                  rng.standard_normal((*shape, n), np.float32)))
    return [*hidden(rng, name, most, n)], x, n


def tokens(rng, name, most, shape):
    n_tokens, n = 1 + many(rng, most.units), many(rng, most.units)
    padding = 0 if rng.random() < 0.3 else None
    embedding = ns.Embedding(n_tokens, n, weight=("normal", 0, 1.0), padding=padding)
    return [embedding, *hidden(rng, name, most, n)], rng.integers(0, n_tokens, shape), None


def hidden(rng, name, most, n):
    """One or two populations, the last of this model, with dense layers before them."""
    still = not POPULATIONS[name].model.spiking
    names = [n for n in POPULATIONS if POPULATIONS[n].model.spiking != still]
    for chosen in (*rng.choice(names, rng.integers(2)), name):
        model, own = POPULATIONS[chosen].model, many(rng, most.units)
        width = own * len(model.feedforward)
        delays = ns.Delays(3, kernels=2, sigma=0.5) if rng.random() < 0.15 else None
        spread = np.exp(rng.uniform(0, 3)) / n ** 0.5
        yield ns.Dense(n, width, weight=("normal", 0, spread), delays=delays)
        if rng.random() < 0.2:
            yield ns.BatchNorm() if still and rng.random() < 0.5 else ns.LayerNorm()
        yield population(rng, chosen, own)
        yield from around(rng, own, still)
        n = own
    yield n


def around(rng, n, still):
    """What may stand behind a population."""
    extra = {"delay": lambda: ns.Delay(int(rng.integers(3))), "learned delay": lambda: ns.Delay(max=3),
             "scale": lambda: ns.Scale(("normal", 1, 0.3)), "tanh": lambda: ns.Activation("tanh"),
             "step by step": lambda: ns.TimeDistributed(ns.Dense(n, n, weight=("normal", 0, 1 / n ** 0.5))),
             "residual": lambda: ns.Residual(ns.Dense(n, n, weight=("normal", 0, 1 / n ** 0.5)))}
    if still:
        extra["dropout"] = lambda: ns.Dropout(0.3, per_step=bool(rng.integers(2)))
    if rng.random() < 0.4:
        yield extra[one(rng, extra)]()


def pictures(rng, name, most, shape):
    channels, out, side = 1 + int(rng.integers(2)), 2 * (1 + int(rng.integers(3))), most.side
    kernel, stride, padding = 1 + int(rng.integers(3)), 1 + int(rng.integers(2)), int(rng.integers(2))
    conv = ns.Conv2d(channels, out, kernel, stride=stride, padding=padding, weight=("normal", 0, 1.0))
    neurons = population(rng, name, None, recurs=False)
    windows = [ns.AvgPool2d(2), ns.SumPool2d(2), *([ns.MaxPool2d(2)] if neurons.output == "spike" else [])]
    x = ns.Spikes.from_dense(rng.random((*shape, channels * side * side)) < 0.3)
    rows = ((side + 2 * padding - kernel) // stride + 1) // 2
    return [conv, neurons, one(rng, windows), ns.Flatten(), out * rows * rows], x, (channels, side, side)


def readout(rng, n):
    """(the last layers, whether they answer in each step)."""
    last = one(rng, (None, ns.LI(CLASSES, learn="tau_mem"), ns.OverTime("mean"), ns.OverTime("last"),
                     ns.OverTime("sum", of="softmax", start=1), ns.OverTime("each", of="softmax")))
    per_step = last is None or last.answers_each_step
    return [ns.Dense(n, CLASSES), *([] if last is None else [last])], per_step


# ---- populations


def population(rng, name, n, recurs=True):
    """Neurons of a model; what its model refuses of what is drawn is drawn again."""
    for _ in range(50):
        try:
            return POPULATIONS[name](n, **_arguments(rng, POPULATIONS[name].model, n, recurs))
        except ValueError as error:
            refused = error
    raise refused


def _arguments(rng, model, n, recurs):
    more = {key: one(rng, allowed) for key, allowed in model.options.items()}
    for key, values in model.variants.items():
        value = one(rng, values)
        more[key] = 2.0 if value is float else value
    outputs = [field for field in model.Out._fields if field != "theta"]
    recur = one(rng, (False, True, one(rng, outputs))) if recurs else False
    field = model.recurs if recur is True else recur
    if model.spiking:
        more |= {"surrogate": one(rng, SURROGATES), "v_threshold": one(rng, (0.1, 0.3, 1.0))}
    if "activation" in model.defaults:
        more["activation"] = one(rng, ACTIVATIONS)
    if model.name == "ARLIF":
        more |= {"threshold": one(rng, ("learned", "fixed", "trace"))}
    if recur and field != "spike":          # values that feed themselves must not grow without bound
        more["recurrent_init"] = "normal", 0, 0.3 / n
    if recur is True and not model.second and rng.random() < 0.3:
        recur = ns.Delays(2, axonal=bool(rng.integers(2)), sigma=0.5)
    learned = tuple(key for key in model.Settings._fields if rng.random() < 0.5)
    return {**more, "recurrent": recur, "output": one(rng, outputs), "learn": learned}

"""Initial weights from data: functions that change a network's weights in place, and report what they did.

Weights that know nothing of thresholds, time constants and rates let the activity of a deep network die out,
or saturate.

`fluctuation_driven`: the membrane of each neuron fluctuates with a given standard deviation, for a given
input rate.  Source: Rossbroich, Gygax, Zenke 2022, Neuromorph. Comput. Eng. 2 (arXiv 2206.10226).

    Below threshold v is linear in the current.  Its answer eps_k to a small impulse is measured, on the
    population alone and whatever its model is.  For n inputs that spike with probability p in each step,
    independently, and weights w_i, over time

        mean of v     = p sum_i w_i  sum_k eps_k                    (on top of what v does without input)
        variance of v = p (1 - p) sum_i w_i^2  sum_k eps_k^2

    Weights are drawn from N(mu, sigma), which gives v_mean = n p mu sum eps and
    v_std^2 = n p (1 - p) (sigma^2 + mu^2) sum eps^2 on average over weights: two equations for mu and sigma.
    (The paper's Poisson input has p for p (1 - p).)  Two things are outside of them: resets; and that the
    mean of v differs between neurons, with the standard deviation p sqrt(n) sigma |sum eps|, large where p
    and the time constant are.

    Where a population recurs through its spikes, its recurrent weights give a share of the variance; mu is
    the same for both.

`lsuv`: what each synapse layer hands out has a given standard deviation, on a batch of data.
Source: Mishkin, Matas 2016, All you need is a good init, ICLR (arXiv 1511.06422).

`uniform`, `log_uniform`, `normal`: distributions of initial values, ALIF(36, tau_adp=ns.init.uniform(60,
300)); others by name, see numsnn.layers.initialise.

A synapse layer is one with a parameter "weight": (n_in, n_out), or (out, in, ...) in a convolution.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..checked import checked
from ..devices.contract import valid_steps
from ..layers import Dropout, Population, Scale
from ..layers.initialise import initial, log_uniform, normal, uniform
from ..network.network import Network
from ..signals.spikes import Spikes

__all__ = ["fluctuation_driven", "log_uniform", "lsuv", "normal", "uniform"]

STEPS, LONGEST = 64, 2 ** 15        # steps of a membrane's response that are run at a time, and at most
SMALL = 2.0 ** -10                  # the impulse, in thresholds: far below one, and a power of 2


class Response(NamedTuple):
    """How v answers one unit of current, eps_k being the answer k steps later."""
    sum: np.ndarray         # (N,) sum_k eps_k
    square: np.ndarray      # (N,) sum_k eps_k^2


class Source(NamedTuple):
    """Inputs of one kind."""
    n: int
    mean: float             # of one input in a step
    variance: float         # likewise
    share: float = 1.0      # of the variance of v that they give


# ---- fluctuation-driven


@checked
def fluctuation_driven(net: Network, rate: float | dict[str, float], *, xi: float = 1.0, v_mean: float = 0.0,
                       recurrent_share: float = 0.1, mean_square: float | None = None,
                       rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Weights with which v fluctuates with the standard deviation (v_threshold - v_mean) / xi.

    That holds in each neuron with a threshold; the module derives the weights.  Biases become 0.

    net              a network.  Layers with a weight directly before a population with a threshold (or with
                     Dropout between) get new weights; others, such as those of readouts, keep theirs
    rate             p, spikes per step of one input: one number; or {layer: number} for these layers only,
                     where the name of a synapse layer means its inputs and that of a population its own
                     recurring spikes
    xi               standard deviations from v_mean to the threshold; 1 to 3 in the paper
    v_mean           mean of v, in the unit of v
    recurrent_share  of the variance, from the recurrent weights; 0 to below 1 (1 - alpha in the paper, 0.1)
    mean_square      of the first synapse layer's inputs where they are values and not spikes, taken to be
                     independent from step to step and of mean 0: v_std^2 = n mean_square sigma^2 sum eps^2,
                     and v_mean must be 0
    rng              draws the weights

    Settings that differ between neurons are honoured (in a convolution the mean over each channel).  Returns,
    averaged over neurons, {layer: {"mean", "std", "v_mean", "v_std", "v_spread"}}: mean and std of the
    weights, what they give v, and how the mean of v spreads over neurons; recurrent weights stand under the
    population's name.
    """
    _check(xi, v_mean, recurrent_share, mean_square, rng)
    weights, report = {}, {}
    for synapse, population in _pairs(net, rate, mean_square).items():
        sources = _sources(net, synapse, population, rate, mean_square, recurrent_share)
        response = _response(net, population)
        gap = _gap(net, population, v_mean)
        mean = _mean_weight(v_mean, sources, response, len(gap))
        for name, source in sources.items():
            std = _std_of_weights(name, sources, response, gap, mean, xi, v_mean)
            key = f"{name}.weight" if name == synapse else f"{name}.recurrent"
            weights[key] = _draw(net.params[key].shape, mean, std, rng)
            report[name] = _facts(source, mean, std, response)
    for key, array in weights.items():
        net.params[key][...] = array
        bias = f"{key.removesuffix('weight')}bias" if key.endswith("weight") else f"{key}_bias"
        if bias in net.params:
            net.params[bias][...] = 0
    return report


def _check(xi, v_mean, recurrent_share, mean_square, rng):
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"fluctuation_driven: rng must be a generator, np.random.default_rng(seed); "
                        f"got {rng!r}")
    if not 0 < xi < np.inf or not np.isfinite(v_mean):
        raise ValueError(f"fluctuation_driven: xi must be a positive number and v_mean a number; "
                         f"got xi={xi!r}, v_mean={v_mean!r}")
    if not 0 <= recurrent_share < 1:
        raise ValueError(f"fluctuation_driven: recurrent_share must be at least 0 and below 1; "
                         f"got {recurrent_share!r}")
    if mean_square is not None and (not 0 < mean_square < np.inf or v_mean):
        raise ValueError(f"fluctuation_driven: mean_square must be positive, and v_mean 0, for inputs of "
                         f"mean 0; got mean_square={mean_square!r}, v_mean={v_mean!r}")


def _synapses(net):
    return [name for name, layer in net.layers.items() if np.ndim(layer.params.get("weight")) > 1]


def _threshold(layer):
    """(N,) v_threshold, None where the layer has none."""
    own = layer.values().get("v_threshold")
    return None if own is None else np.repeat(own.astype(np.float64), layer.n // own.size)


def _gap(net, population, v_mean):
    """(N,) from v_mean to the threshold."""
    gap = _threshold(net.layers[population]) - v_mean
    if not (gap > 0).all():
        raise ValueError(f"layer {population}: v_mean must be below every threshold; "
                         f"got v_mean={v_mean:g}, v_threshold={gap.min() + v_mean:g}")
    return gap


def _fed(net, synapse):
    """(the population with a threshold that a synapse layer feeds or None, layers that stand between)."""
    names, between = list(net.layers), []
    for name in names[names.index(synapse) + 1:]:
        layer = net.layers[name]
        if isinstance(layer, Population) and not isinstance(layer, Scale):
            return (None if _threshold(layer) is None else name), between
        if name in _synapses(net):
            break
        between += [] if isinstance(layer, Dropout) else [name]
    return None, between


def _pairs(net, rate, mean_square):
    """{synapse layer: population} of those that get new weights."""
    synapses = _synapses(net)
    fed = {name: _fed(net, name) for name in synapses}
    chosen = [name for name in synapses if fed[name][0]]
    if isinstance(rate, dict):
        _refuse_unknown_rates(net, rate, chosen, [fed[name][0] for name in chosen])
        takes_values = None if mean_square is None else synapses[0]
        chosen = [name for name in chosen if name in rate or name == takes_values]
    for name in chosen:
        population, between = fed[name]
        if between:
            raise ValueError(f"between {name} and {population} stands {between[0]}, and what it does to the "
                             f"fluctuations is not known; use ns.init.lsuv, or a rate={{layer: number}} "
                             f"without {name}")
    if not chosen:
        raise ValueError("fluctuation_driven: no layer with weights feeds a population with a threshold; "
                         "nothing to initialise")
    return {name: fed[name][0] for name in chosen}


def _refuse_unknown_rates(net, rate, synapses, populations):
    known = [*synapses, *(name for name in populations if "recurrent" in net.layers[name].params)]
    unknown = [name for name in rate if name not in known]
    if unknown:
        raise ValueError(f"rate: {unknown[0]!r} is no layer of weights that feeds a population with a "
                         f"threshold, and no such population that recurs; "
                         f"there are {', '.join(known) or 'none'}")


def _sources(net, synapse, population, rate, mean_square, recurrent_share):
    """{layer: Source} of what reaches a population."""
    shape = net.params[f"{synapse}.weight"].shape
    layer = net.layers[population]
    n = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
    if mean_square is not None and synapse == _synapses(net)[0]:
        forward = Source(n, 0.0, mean_square)
    else:
        forward = _spikes(n, rate, synapse)
    if "recurrent" not in layer.params:
        return {synapse: forward}
    if layer.recur != "spike":
        raise ValueError(f"layer {population}: recurs through {layer.recur!r}, whose fluctuations are not "
                         f"known; use ns.init.lsuv, which leaves recurrent weights as they are")
    if layer.sigma:
        raise ValueError(f"layer {population}: while its delays are spread over steps, the fluctuations of "
                         f"what recurs are not known; use ns.init.lsuv, which leaves recurrent weights as "
                         f"they are")
    return {synapse: forward._replace(share=1 - recurrent_share),
            population: _spikes(layer.n, rate, population)._replace(share=recurrent_share)}


def _spikes(n, rate, name):
    p = rate.get(name) if isinstance(rate, dict) else rate
    if isinstance(p, (bool, str)) or p is None or not 0 < p < 1:
        raise ValueError(f"rate: expected spikes per step between 0 and 1 for {name}; got {p!r}")
    return Source(n, p, p * (1 - p))


def _response(net, name):
    """The Response of a population's neurons, without recurrence."""
    layer = net.layers[name]
    alone = _alone(net, name)
    impulse = SMALL * _threshold(layer)
    if not (impulse > 0).all():
        raise ValueError(f"layer {name}: needs positive thresholds; "
                         f"got v_threshold={impulse.min() / SMALL:g}")
    x = np.zeros((STEPS, 2, layer.n))       # the first sample gets the impulse, the second nothing
    x[0, 0] = impulse
    state, total, square, largest = None, 0.0, 0.0, 0.0
    for _ in range(LONGEST // STEPS):
        steps = x.reshape(STEPS, 2, *layer.shape_out)
        _, state, seen = alone.run(steps, state, record={name: ("v", "spike")})
        if seen[name]["spike"].any():
            raise ValueError(f"layer {name}: spikes without input, so that its membrane has no response to "
                             f"speak of; check its settings")
        v = seen[name]["v"].reshape(STEPS, 2, -1)
        eps = (v[:, 0] - v[:, 1]) / impulse
        total = total + eps.sum(0)
        square = square + (eps ** 2).sum(0)
        largest = max(largest, np.abs(eps).max())
        if np.abs(eps[-1]).max() <= 1e-6 * largest:
            return Response(total, square)
        x[0] = 0
    raise ValueError(f"layer {name}: its membrane remembers a current for more than {LONGEST} steps, and so "
                     f"has no variance; shorten its time constants")


def _alone(net, name):
    """A network of one population, without recurrence, in float64."""
    layer = net.layers[name]
    model = layer.model
    if not model.spiking or "v" not in model.Out._fields or len(model.Inputs._fields) > 1:
        raise ValueError(f"layer {name}: {type(layer).__name__} is not a spiking neuron with one input "
                         f"current; give rates as a dict that leaves it out")
    fixed = {key: value for key, value in layer.config().items() if key not in ("learn", "learn_as")}
    apart = {"recurrent": False} if layer.recur else {}
    population = type(layer)(**{**fixed, **apart, **layer.values()})
    return Network(population, dt=net.dt, dtype="float64", device="reference", input_shape=layer.shape_out)


def _mean_weight(v_mean, sources, response, n):
    """(N,) mu, the same for all sources."""
    if not v_mean:
        return np.zeros(n)
    return v_mean / (response.sum * sum(source.n * source.mean for source in sources.values()))


def _std_of_weights(name, sources, response, gap, mean, xi, v_mean):
    """(N,) sigma of the source `name`."""
    source = sources[name]
    wanted = source.share * (gap / xi) ** 2
    square = wanted / (source.n * source.variance * response.square) - mean ** 2
    if not (square >= 0).all():
        also = ", or change recurrent_share" if len(sources) > 1 else ""
        raise ValueError(f"layer {name}: weights with the mean that v_mean={v_mean:g} needs make v fluctuate "
                         f"more than xi={xi:g} allows; bring v_mean closer to 0, or lower xi{also}")
    return np.sqrt(square)


def _draw(shape, mean, std, rng):
    """Weights of N(mean, std), given for each neuron that they reach."""
    if len(shape) > 2:
        mean, std = _by_channel(mean, shape), _by_channel(std, shape)
    return mean + std * rng.standard_normal(shape)


def _by_channel(a, shape):
    """The mean over the neurons of each channel, so that it broadcasts over a convolution's weight."""
    return a.reshape(shape[0], -1).mean(1).reshape(-1, *(1 for _ in shape[1:]))


def _facts(source, mean, std, response):
    v_square = source.n * source.variance * (std ** 2 + mean ** 2) * response.square
    facts = {"mean": mean, "std": std, "v_mean": source.n * source.mean * mean * response.sum,
             "v_std": np.sqrt(v_square),
             "v_spread": source.mean * np.sqrt(source.n) * std * np.abs(response.sum)}
    return {key: float(value.mean()) for key, value in facts.items()}


# ---- layer-sequential unit variance


@checked
def lsuv(net: Network, x: np.ndarray | Spikes, *, target: float = 1.0, of: str = "current",
         tolerance: float = 0.05, most: int = 10, lengths: np.ndarray | None = None,
         rng: np.random.Generator | None = None) -> dict[str, dict]:
    """Orthogonal weights, scaled layer by layer until what the layer hands out varies as asked.

    What it hands out on the batch x then has the standard deviation `target`.  The layers before it have
    their new weights by then.  The standard deviation is over all valid steps, samples and neurons (in the
    paper it is 1).  Biases and recurrent weights stay as they are; the network runs as in `net.run`, and so
    without dropout and batch statistics.

    net        a network; every synapse layer gets new weights, that of a readout too
    x          a batch of inputs, (T, B, ...) as for net.run; lengths: (B,) its valid steps
    target     standard deviation, in the unit of the current; of="threshold": in mean thresholds of the
               population that the layer feeds (as it is where that has none)
    tolerance  relative distance from the target that is near enough
    most       scalings of a layer; one is enough unless its biases differ
    rng        draws the orthogonal weights; None: from the network's seed

    Returns {layer: {"std", "scale", "scalings"}}: what was reached, the factor of the orthogonal weights, and
    how often they were scaled.  Where a layer's output does not vary (all spikes before it have died) it
    raises ValueError and leaves the network as it was.
    """
    if not 0 < target < np.inf or of not in ("current", "threshold"):
        raise ValueError(f'lsuv: target must be a positive number, of "current" or "threshold"; '
                         f'got target={target!r}, of={of!r}')
    if not 0 < tolerance < 1 or most < 1:
        raise ValueError(f"lsuv: tolerance must lie between 0 and 1, and most be at least 1; "
                         f"got tolerance={tolerance!r}, most={most!r}")
    rng = rng or np.random.default_rng(net.seed)
    report = {}
    before = net.params.copy()
    try:
        for name in _synapses(net):
            weight = net.params[f"{name}.weight"]
            shape = weight.shape if weight.ndim == 2 else (len(weight), weight[0].size)
            weight[...] = initial("orthogonal", rng, shape, f"{name}.weight").reshape(weight.shape)
            population = _fed(net, name)[0] if of == "threshold" else None
            goal = target * (_threshold(net.layers[population]).mean() if population else 1.0)
            report[name] = _scaled(net, name, weight, goal, x, lengths, tolerance, most)
    except BaseException:           # Ctrl-C too leaves the weights as they were
        net.params.update(before)
        raise
    return report


def _scaled(net, name, weight, goal, x, lengths, tolerance, most):
    """Scale a layer's weight until its output has the standard deviation `goal`."""
    scale = 1.0
    for scalings in range(most + 1):
        std = float(_outputs(net, name, x, lengths).std(dtype=np.float64))
        if not 0 < std < np.inf:
            raise ValueError(f"layer {name}: what it hands out on this batch does not vary, so that no scale "
                             f"brings it to a standard deviation of {goal:g}; the layers before it are "
                             f"silent: raise target, lower their v_threshold, or take a "
                             f"batch with more input")
        if abs(std / goal - 1) <= tolerance:
            return {"std": std, "scale": scale, "scalings": scalings}
        weight *= weight.dtype.type(goal / std)
        scale *= goal / std
    raise ValueError(f"layer {name}: its standard deviation is {std:g} after {most} scalings, not {goal:g}; "
                     f"its biases hold it there: set them to 0, or allow a larger tolerance or most")


def _outputs(net, name, x, lengths):
    """What a layer hands out in the valid steps of a batch, (rows, N)."""
    _, _, seen = net.run(x, lengths=lengths, record={name: "y"})
    y = seen[name]["y"]
    if not y.size:
        raise ValueError(f"x holds nothing to measure, layer {name} hands out an array of shape {y.shape}")
    times = len(y) // len(x)            # more than 1 behind a layer that repeats steps
    own_lengths = None if lengths is None else np.asarray(lengths) * times
    counted = valid_steps(*y.shape[:2], own_lengths)[..., 0]
    return y.reshape(*y.shape[:2], -1)[counted]

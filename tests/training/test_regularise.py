"""Regularisers: values by plain loops, gradients against central differences; then within a network."""

import json

import numpy as np
import pytest

import numsnn as ns
from numsnn.training import regularise


def network(**more):
    return ns.Network(ns.Dense(5, 6), ns.ALIF(6, recurrent=True, tau_mem=5, tau_adp=10),
                      ns.Dense(6, 4), ns.LIF(4), ns.Dense(4, 3), ns.LI(3), ns.OverTime("mean"), **more)


def band(rates, low, high):
    """Sum of the penalties of single rates, as a loop."""
    total = 0.0
    for r in np.ravel(rates):
        if r < low:
            total += (low - r) ** 2
        elif r > high:
            total += (r - high) ** 2
    return total


def of_batch(rates):
    return band([np.mean(rates[:, n]) for n in range(rates.shape[1])], 0.2, 0.4) / rates.shape[1]


def of_samples(rates):
    return band(rates, 0.2, 0.4) / rates.size


def of_layer(rates):
    return band([np.sum(rates) / rates.size], 0.2, 0.4)


RATES = {"batch": (regularise.RateBand(0.2, 0.4, 3.0), of_batch, 3.0),
         "sample": (regularise.RateBand(0.2, 0.4, 0.5, over="sample"), of_samples, 0.5),
         "layer": (regularise.RateBand(0.2, 0.4, 2.0, over="layer"), of_layer, 2.0),
         "L1": (regularise.RateL1(0.7), lambda r: sum(np.ravel(r)) / r.size, 0.7),
         "L2": (regularise.RateL2(4.0), lambda r: sum(x * x for x in np.ravel(r)) / r.size, 4.0)}


def some_rates(rng):
    """Of two populations; means of neurons and of the layers lie below, within and above 0.2 ... 0.4."""
    return {"alif0": rng.random((7, 6)) * np.linspace(0.1, 1.4, 6), "lif0": rng.random((7, 4)) * 0.2}


@pytest.mark.parametrize("name", RATES)
def test_penalties_on_rates(name, rng):
    """The value by plain loops, its gradient by central differences.

    The penalties are quadratic: they are exact but for rounding of 1e-16 / 1e-5.
    """
    regulariser, one, strength = RATES[name]
    net, rates = network(), some_rates(rng)
    penalty = regulariser(net, rates)
    assert regulariser.layers(net) == ("alif0", "lif0")
    assert np.isclose(penalty.value, strength * (one(rates["alif0"]) + one(rates["lif0"])), rtol=1e-13)
    assert penalty.value > 0
    assert penalty.grads == {}
    for layer, d in penalty.drates.items():
        assert d.any()
        for i in np.ndindex(d.shape):
            values = []
            for shift in (1e-5, -1e-5):
                moved = {key: a.copy() for key, a in rates.items()}
                moved[layer][i] += shift
                values.append(regulariser(net, moved).value)
            assert abs((values[0] - values[1]) / 2e-5 - d[i]) < 1e-9


def test_rates_within_the_band_are_left_alone(rng):
    rates = {"alif0": rng.uniform(0.2, 0.4, (7, 6)), "lif0": rng.uniform(0.2, 0.4, (7, 4))}
    for over in ("batch", "sample", "layer"):
        penalty = regularise.RateBand(0.2, 0.4, over=over)(network(), rates)
        assert penalty.value == 0
        assert not any(d.any() for d in penalty.drates.values())
    assert regularise.RateBand(0, 1)(network(), some_rates(rng)).value == 0


def test_what_differs_between_the_averages():
    """A neuron of rates 0 and 0.6 in two samples: 0.3 on average, within 0.2 ... 0.4; each sample is not."""
    net = ns.Network(ns.Dense(2, 1), ns.LIF(1))
    rates = {"lif0": np.array([[0.0], [0.6]])}
    assert regularise.RateBand(0.2, 0.4)(net, rates).value == 0
    of_samples = regularise.RateBand(0.2, 0.4, over="sample")(net, rates)
    assert np.isclose(of_samples.value, (0.2 ** 2 + 0.2 ** 2) / 2)


def test_only_the_chosen_layers(rng):
    net, rates = network(), some_rates(rng)
    for layers in ("lif0", ["lif0"]):
        regulariser = regularise.RateL1(layers=layers)
        assert regulariser.layers(net) == ("lif0",)
        penalty = regulariser(net, rates)
        assert list(penalty.drates) == ["lif0"]
        assert np.isclose(penalty.value, rates["lif0"].mean())


WEIGHTS = {"L1": (regularise.WeightL1(0.3), lambda w: 0.3 * sum(abs(float(x)) for x in np.ravel(w))),
           "L2": (regularise.WeightL2(0.3), lambda w: 0.3 * sum(float(x) ** 2 for x in np.ravel(w)) / 2)}


@pytest.mark.parametrize("name", WEIGHTS)
def test_penalties_on_weights(name):
    regulariser, one = WEIGHTS[name]
    net = network(dtype="float64")
    for p in net.params.values():
        p += 0.1 * (p == 0)         # biases: not 0, so that they would be seen
    penalty = regulariser(net, {})
    seen = ("dense0.weight", "alif0.recurrent", "dense1.weight", "dense2.weight")
    assert tuple(penalty.grads) == seen
    assert penalty.drates == {}
    assert regulariser.layers(net) == ()
    assert np.isclose(penalty.value, sum(one(net.params[key]) for key in seen), rtol=1e-13)
    for key in seen:
        w = net.params[key]
        assert np.abs(w).min() > 1e-6           # no corner of |w| within a step
        for i in np.ndindex(w.shape):
            kept = w[i]
            w[i] = kept + 1e-6
            above = regulariser(net, {}).value
            w[i] = kept - 1e-6
            below = regulariser(net, {}).value
            w[i] = kept
            assert abs((above - below) / 2e-6 - penalty.grads[key][i]) < 1e-8


def test_patterns_of_weights():
    net = network()
    penalty = regularise.WeightL2(1, "dense[01].*")(net, {})
    assert list(penalty.grads) == ["dense0.weight", "dense0.bias", "dense1.weight", "dense1.bias"]
    penalty = regularise.WeightL1(1, ("dense0.*", "*.bias"))(net, {})
    assert list(penalty.grads) == ["dense0.weight", "dense0.bias", "dense1.bias", "dense2.bias"]
    penalty = regularise.WeightL2(2.0, "dense0.weight")(net, {})
    assert penalty.grads["dense0.weight"].dtype == np.float32
    assert np.array_equal(penalty.grads["dense0.weight"], 2 * net.params["dense0.weight"])
    without_recurrent_weights = ns.Network(ns.Dense(2, 2))
    assert regularise.WeightL1(1)(without_recurrent_weights, {}).value > 0


def test_config_makes_it_again():
    for regulariser in (regularise.RateBand(0.1, 0.3, 2.0, ("lif0",), "sample"),
                        regularise.RateL1(0.5, "alif0"), regularise.RateL2(),
                        regularise.WeightL1(0.1, "dense*"), regularise.WeightL2(1e-4)):
        config = json.loads(json.dumps(regulariser.config()))
        again = regularise.regulariser_from(config)
        assert type(again) is type(regulariser)
        assert again.config() == regulariser.config()
        assert eval(repr(regulariser), vars(regularise)).config() == regulariser.config()
    assert len(regularise.REGULARISERS) == 5
    with pytest.raises(ValueError, match="unknown regulariser 'Rate'; there are RateBand, RateL1"):
        regularise.regulariser_from({"regulariser": "Rate"})


@pytest.mark.parametrize(("call", "words"), [
    (lambda: regularise.RateBand(0.3, 0.2), "low must not be above high; got low=0.3, high=0.2"),
    (lambda: regularise.RateBand(-0.1, 0.2), r"RateBand: low must be a number in 0 \.\.\. 1; got -0.1"),
    (lambda: regularise.RateBand(0.1, 5), r"high must be a number in 0 \.\.\. 1; got 5"),
    (lambda: regularise.RateBand(0.1, 0.2, over="time"),
     "over must be 'batch', 'sample' or 'layer'; got 'time'"),
    (lambda: regularise.RateL1(-1), "RateL1: strength must be a number from 0 on; got -1"),
    (lambda: regularise.WeightL2(np.nan), "strength must be a number from 0 on; got nan"),
    (lambda: regularise.WeightL2([1, 2]), "got \\[1, 2\\]"),
    (lambda: regularise.RateL2(layers="lif7").layers(network()),
     "RateL2: no spiking population 'lif7'; there are alif0, lif0"),
    (lambda: regularise.RateL2(layers="li0").layers(network()), "no spiking population 'li0'"),
    (lambda: regularise.RateL2().layers(ns.Network(ns.Dense(2, 2), ns.LI(2))),
     "the network has no spiking population"),
    (lambda: regularise.WeightL1(1, ("dense0.*", "conv0.*"))(network(), {}),
     "WeightL1: no parameter is named 'conv0.\\*'; there are dense0.weight")])
def test_what_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_network_gradients_with_regularisers(rng):
    """All parameters of a recurrent network with smooth spikes.

    The hand-written gradients of the loss with its penalties are its derivatives.
    """
    net = network(chunk=2).smoothed()
    x, labels, lengths = rng.normal(size=(11, 5, 5)), rng.integers(0, 3, 5), np.array([11, 4, 1, 9, 7])
    _, _, seen = net.run(x, lengths=lengths, record="rate")
    rates = np.sort(np.concatenate([seen[name]["rate"].ravel() for name in ("alif0", "lif0")]))
    low, high = np.clip(np.quantile(rates, (0.4, 0.6)), 0, 1)       # something is below, and something above
    loss = ns.loss.CrossEntropy()
    plain = net.loss_and_gradients(loss, x, labels, lengths=lengths)
    for over in ("batch", "sample", "layer"):
        terms = (regularise.RateBand(low, high, 30.0, over=over), regularise.RateL1(2.0, "alif0"),
                 regularise.RateL2(3.0), regularise.WeightL1(0.1),
                 regularise.WeightL2(0.2, ("dense1.*", "*.recurrent")))
        result = net.loss_and_gradients(loss, x, labels, lengths=lengths, regularisers=terms)
        added = [r(net, {name: f["rate"] for name, f in seen.items()}).value for r in terms]
        assert abs(result.loss - plain.loss - sum(added)) < 1e-12
        assert min(added) > 1e-3
        for key, grad in result.grads.items():
            p = net.params[key]
            scale = max(1.0, np.abs(grad).max())
            for i in rng.permutation(p.size)[:4]:
                place, values = np.unravel_index(i, p.shape), []
                kept = p[place]
                for shift in (1e-6, -1e-6):
                    p[place] = kept + shift
                    moved = net.loss_and_gradients(loss, x, labels, lengths=lengths, regularisers=terms)
                    values.append(moved.loss)
                p[place] = kept
                numeric = (values[0] - values[1]) / 2e-6
                assert abs(numeric - grad[place]) < 1e-6 * scale, f"{over}: {key}{list(place)}"

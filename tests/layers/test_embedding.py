"""Embedding: values and gradients, tokens and spikes, padding, what is refused."""

import json

import numpy as np
import pytest

import numsnn as ns
from numsnn.signals.spikes import Spikes

TOKENS, OUT = 11, 5


def tokens(steps=7, batch=6, seed=0):
    return np.random.default_rng(seed).integers(0, TOKENS, (steps, batch, 1)).astype(np.int32)


def network(device="cpu", padding=None, **more):
    words = ns.Embedding(TOKENS, OUT, weight=("normal", 0, 1), padding=padding)
    return ns.Network(words, ns.LIF(OUT, surrogate="gaussian", v_threshold=0.3), ns.Dense(OUT, 3),
                      ns.OverTime("mean"), seed=1, device=device, **more)


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("padding", (None, 0, 4))
def test_against_torch(device, padding):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x, dy = tokens(), np.random.default_rng(1).normal(size=(7, 6, OUT))
    words = ns.Embedding(TOKENS, OUT, padding=padding, name="words")
    net = ns.Network(words, device=device, dtype="float64", seed=3)
    table = net.params["words.weight"].copy()
    assert -0.05 <= table.min() < -0.04 and 0.04 < table.max() <= 0.05
    if padding is not None:
        table[padding] = 0
    y, _, tape = net.forward(x)
    grads, _ = net.backward(tape, dy)
    theirs = torch.nn.Embedding(TOKENS, OUT, padding_idx=padding, _weight=torch.tensor(table))
    yt = theirs(torch.tensor(x[..., 0]))
    yt.backward(torch.tensor(dy))
    assert np.array_equal(y, yt.detach().numpy())
    assert np.array_equal(net.run(x)[0], y)
    assert np.abs(grads["words.weight"] - theirs.weight.grad.numpy()).max() < 1e-14 * 42


def test_the_same_as_dense_without_bias_on_one_hot_events():
    x = tokens(seed=2)
    net = ns.Network(ns.Embedding(TOKENS, OUT))
    dense = ns.Network(ns.Dense(TOKENS, OUT, weight=net.params["embedding0.weight"], bias=False))
    hot = (x == np.arange(TOKENS)).astype(np.float32)
    y, _, tape = net.forward(x[..., 0])
    want, _, other = dense.forward(hot)
    assert np.array_equal(y, want)
    assert np.array_equal(net.run(Spikes.from_dense(hot))[0], want)
    several = np.random.default_rng(0).random((3, 2, TOKENS)) < 0.5         # a sum of vectors
    assert np.array_equal(net.run(Spikes.from_dense(several))[0], dense.run(several)[0])
    dy = np.random.default_rng(1).normal(size=y.shape)
    mine = net.backward(tape, dy)[0]["embedding0.weight"]
    theirs = dense.backward(other, dy)[0]["dense0.weight"]
    assert np.abs(mine - theirs).max() <= 42 * np.finfo(np.float32).eps * np.abs(dy).max()


def test_gradients_and_padding():
    x, labels = tokens(), np.arange(6) % 3
    every = TOKENS * OUT
    assert max(ns.check_gradients(network(), x, labels, samples=every).values()) < 1e-6
    lengths = np.array([7, 1, 4, 2, 7, 3])
    errors = ns.check_gradients(network(padding=4), x, labels, samples=every, lengths=lengths)
    assert max(errors.values()) < 1e-6
    net = ns.Network(ns.Embedding(TOKENS, OUT, padding=4), device="reference")
    y, _, tape = net.forward(x)
    assert (x == 4).any() and np.array_equal(y.any(2), x[..., 0] != 4)
    assert not net.backward(tape, np.ones_like(y))[0]["embedding0.weight"][4].any()


def test_forms_of_tokens_devices_and_chunks():
    x = tokens()
    want = network().run(x)[0]
    for other in (x[..., 0], x.astype(np.uint8), x.tolist()):
        assert np.array_equal(network().run(other)[0], want)
    assert np.array_equal(network("reference").run(x)[0], want)
    assert np.array_equal(network(chunk=1).run(x)[0], want)
    net = network()
    _, state = net.run(x[:3])
    assert np.array_equal(net.run(x[3:], state)[0], want)
    wide = ns.Network(ns.Embedding(70000, 2))                               # beyond 16-bit indices
    last = wide.run(np.array([[69999]]))[0][0, 0]
    assert np.array_equal(last, wide.params["embedding0.weight"][69999])


def test_saved(tmp_path):
    net = network(padding=0)
    ns.save(net, tmp_path / "n.h5")
    assert np.array_equal(ns.load(tmp_path / "n.h5").run(tokens())[0], net.run(tokens())[0])
    config = net.layers["embedding0"].config()
    again = ns.Embedding.from_config(json.loads(json.dumps(config)))
    assert again.config() == config | {"weight": ["normal", 0, 1]}


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.Embedding(0, 3), "Embedding: n_tokens must be a positive integer; got 0"),
    (lambda: ns.Embedding(5, 3, padding=5), r"padding must be a token, 0 \.\.\. 4, or None; got 5"),
    (lambda: ns.Embedding(5, 3, padding=True), "padding must be a token"),
    (lambda: ns.Network(ns.Dense(2, 3), ns.Embedding(5, 3)),
     "expects spikes of 5 tokens, but 3 inputs arrive"),
    (lambda: network().run(np.full((2, 3), TOKENS)),
     (r"embedding0: expects tokens 0 \.\.\. 10; x\[0, 0\] is 11. "
      "n_tokens is the largest token plus 1, here 12")),
    (lambda: network().run(np.array([[0, 1], [3, -1]])), r"x\[1, 1\] is -1"),
    (lambda: network().run(np.zeros((2, 3))), r"expects tokens, integers 0 \.\.\. 10; got float64"),
    (lambda: network().run(np.zeros((2, 3, 2), int)),
     r"expects tokens x of shape \(T, B\) or \(T, B, 1\): time, samples; got shape \(2, 3, 2\)"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()

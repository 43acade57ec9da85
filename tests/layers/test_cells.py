"""Convolutional cells: ConvLSTM2D against PyTorch in a loop, gradients, names, files, what is refused."""

import numpy as np
import pytest

import numsnn as ns


def network(*cell, device="reference", **more):
    layers = *cell, ns.AvgPool2d(2), ns.Dense(3 * 2 * 2, 3), ns.OverTime("mean")
    return ns.Network(*layers, input_shape=(2, 5, 5), seed=1, device=device, **more)


CELLS = {
    "lstm": lambda **more: ns.ConvLSTM2D(2, 3, 3, padding=1, **more),
    "strided": lambda: ns.ConvLSTM2D(2, 3, (3, 1), padding=(1, 0)),
    "arlif": lambda: ns.ConvARLIF2D(2, 3, 3, padding=1, per_channel="v_threshold", threshold="learned",
                                    surrogate="gaussian"),
}


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lengths", [None, np.array([5, 2, 4])])
def test_gradients(cell, device, lengths):
    rng = np.random.default_rng(0)
    net = network(CELLS[cell](), device=device)
    x, labels = rng.normal(size=(5, 3, 2, 5, 5)), np.array([0, 1, 2])
    assert max(ns.check_gradients(net, x, labels, lengths=lengths).values()) < 1e-6


def test_against_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    functional = torch.nn.functional
    rng = np.random.default_rng(1)
    cell = ns.ConvLSTM2D(2, 3, 3, padding=1, bias=("normal", 0, 1))
    net = ns.Network(cell, input_shape=(2, 5, 6), dtype="float64", device="reference")
    x, dy = rng.normal(size=(4, 2, 2, 5, 6)), rng.normal(size=(4, 2, 3, 5, 6))
    y, _, tape = net.forward(x)
    grads, _, dx = net.backward(tape, dy, want_dx=True)
    names = ("conv0.weight", "conv0.bias", "conv1.weight")
    wx, b, wh = (torch.tensor(net.params[name], requires_grad=True) for name in names)
    xt = torch.tensor(x, requires_grad=True)
    h, c = torch.zeros(2, 3, 5, 6, dtype=torch.float64), torch.zeros(2, 3, 5, 6, dtype=torch.float64)
    outputs = []
    for t in range(4):
        gates = functional.conv2d(xt[t], wx, b, padding=1) + functional.conv2d(h, wh, padding=1)
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    want = torch.stack(outputs)
    want.backward(torch.tensor(dy))
    assert np.abs(y.reshape(want.shape) - want.detach().numpy()).max() < 1e-12
    for name, theirs in zip(names, (wx, b, wh), strict=True):
        assert np.abs(grads[name] - theirs.grad.numpy()).max() < 1e-11
    assert np.abs(dx.reshape(x.shape) - xt.grad.numpy()).max() < 1e-11


def test_counts_names_and_files(tmp_path):
    net = network(CELLS["lstm"](name="cell"))
    assert [*net.layers][:5] == ["conv0", "previous0", "conv1", "add0", "cell"]
    assert net.layers["cell"].shape_out == (3, 5, 5)
    weights = (*net.layers["conv0"].params.values(), *net.layers["conv1"].params.values())
    assert sum(w.size for w in weights) == 4 * (9 * (2 + 3) * 3 + 3)
    assert not net.layers["cell"].params
    small = ns.Network(ns.ConvARLIF2D(2, 3, 3, learn=()), input_shape=(2, 5, 5))
    assert small.n_params == 9 * 2 * 3 + 3
    assert small.layers["arlif0"].shape_out == (3, 3, 3)
    assert small.layers["arlif0"].fixed["v_threshold"].shape == (1,)
    x = np.random.default_rng(0).normal(size=(3, 2, 2, 5, 5))
    for made in (net, small):
        ns.save(made, tmp_path / "net.h5")
        assert ns.load(tmp_path / "net.h5").run(x)[0].tobytes() == made.run(x)[0].tobytes()
    whole, _ = net.run(x)
    state = None
    for t in range(3):
        last, state = net.step(x[t], state)
    assert last.tobytes() == whole.tobytes()


def test_what_is_refused():
    refused = (
        (lambda: ns.ConvLSTM2D(2, 3, 4), "must have a middle"),
        (lambda: network(ns.ConvLSTM2D(3, 3, 3, padding=1)), "expects 3 channels, but 2 arrive"),
        (lambda: ns.ConvARLIF2D(2, 3, threshold="no"), "threshold must be one of"),
        (lambda: ns.Network(ns.LIF()), "does not know how many neurons"),
        (lambda: ns.Network(ns.Dense(3, 7), ns.LSTM()), "7 is no multiple of its 4 currents"),
    )
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()

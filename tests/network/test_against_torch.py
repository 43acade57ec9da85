"""A stranger's automatic differentiation: the SRNN in PyTorch as its authors write it, equal gradients.

Skipped where PyTorch is not installed; the library itself never needs it.
"""

import math

import numpy as np
import pytest

import numsnn as ns

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")


class MultiGaussian(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(context, grad):
        x, = context.saved_tensors
        normal = lambda m, s: torch.exp(-(x - m) ** 2 / (2 * s * s)) / (s * math.sqrt(2 * math.pi))
        return grad * 0.5 * (1.15 * normal(0, 0.5) - 0.15 * normal(0.5, 3) - 0.15 * normal(-0.5, 3))


def population(current, recurrent, tau_mem, tau_adp, beta, b0, state):
    """All steps of an ALIF population: (membranes, spikes)."""
    u, s, eta = state
    alpha, rho = torch.exp(-1 / tau_mem), torch.exp(-1 / tau_adp)
    membranes, spikes = [], []
    for t in range(len(current)):
        total = current[t] if recurrent is None else current[t] + torch.nn.functional.linear(s, *recurrent)
        eta = rho * eta + (1 - rho) * s
        theta = b0 + beta * eta
        u = alpha * u + (1 - alpha) * total - theta * s
        s = MultiGaussian.apply(u - theta)
        membranes.append(u)
        spikes.append(s)
    return torch.stack(membranes), torch.stack(spikes)


@pytest.mark.parametrize("device", ("reference", "cpu"))
def test_the_srnn(device, rng):
    steps, batch = 25, 6
    learn = ("tau_mem", "tau_adp")
    hidden = ns.ALIF(9, recurrent=True, tau_mem=8, tau_adp=5, beta=0.7, v_threshold=0.1, learn=learn,
                     init_state="author")
    readout = ns.ALIF(3, output="v", tau_adp=30, learn=learn, init_state="author")
    net = ns.Network(ns.Dense(4, 9, weight=("normal", 0, 2)), hidden, ns.Dense(9, 3), readout,
                     dtype="float64", device=device)
    x, labels = rng.random((steps, batch, 4)) < 0.4, rng.integers(0, 3, (steps, batch))
    mask = np.broadcast_to(np.arange(steps)[:, None] >= 5, labels.shape)
    state = net.initial_state(batch, rng)
    loss, grads, y, _ = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, mask=mask, state=state)

    linear = torch.nn.functional.linear
    p = {name: torch.tensor(a, requires_grad=True) for name, a in net.params.items()}
    start = {name: tuple(map(torch.tensor, s)) for name, s in state.items() if s is not None}
    current = linear(torch.tensor(x, dtype=torch.float64), p["dense0.weight"].T, p["dense0.bias"])
    recurrent = (p["alif0.recurrent"].T, p["alif0.recurrent_bias"])
    _, spikes = population(current, recurrent, p["alif0.tau_mem"], p["alif0.tau_adp"], 0.7, 0.1,
                           start["alif0"])
    current = linear(spikes, p["dense1.weight"].T, p["dense1.bias"])
    membranes, _ = population(current, None, p["alif1.tau_mem"], p["alif1.tau_adp"], 1.8, 0.01,
                              start["alif1"])
    assert spikes.mean() > 0.05
    scores, wanted = membranes[5:].reshape(-1, 3), torch.tensor(labels[5:]).reshape(-1)
    rows = torch.nn.functional.cross_entropy(scores, wanted, reduction="sum")
    (rows / batch).backward()
    assert np.abs(membranes.detach().numpy() - y).max() < 1e-13
    assert abs(float(rows.detach()) / batch - loss) < 1e-11
    for name, a in p.items():
        assert np.abs(a.grad.numpy() - grads[name]).max() < 1e-11 * max(1, float(a.grad.abs().max())), name


@pytest.mark.parametrize("nesterov", (False, True))
def test_optimisers(nesterov, rng):
    start, grads = rng.normal(size=(3, 4)), rng.normal(size=(6, 3, 4))
    sgd = {"nesterov": nesterov, "weight_decay": 0.01}
    pairs = (
        (ns.optim.SGD(0.1, 0.9, **sgd), lambda p: torch.optim.SGD(p, 0.1, 0.9, **sgd)),
        (ns.optim.Adam(0.1, (0.8, 0.9), 1e-6, weight_decay=0.01),
         lambda p: torch.optim.Adam(p, 0.1, (0.8, 0.9), 1e-6, 0.01)),
        (ns.optim.AdamW(0.1, weight_decay=0.05), lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.05)),
    )
    for ours, theirs in pairs:
        mine, yours = {"p": start.copy()}, torch.tensor(start, requires_grad=True)
        theirs = theirs([yours])
        for g in grads:
            ours.update(mine, {"p": g})
            yours.grad = torch.tensor(g)
            theirs.step()
        assert np.abs(mine["p"] - yours.detach().numpy()).max() < 1e-12

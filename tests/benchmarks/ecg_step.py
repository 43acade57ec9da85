"""Time of one training step of the ECG recipe: forward, backward and update; B = 64, T = 1300, 4-36-6.

Method: the recipe's network after one epoch of training (so that its rates are those of training), a batch of 64 synthetic records,
float32.  Steps follow each other with the same batch; the learning rate is tiny, so that rates stay put.  After a warm-up the runs of
numsnn and, where it is installed and asked for, of PyTorch (eager, as the authors write it, same weights, same input, same loss)
alternate; best and median are printed, and their ratio.  First both must agree on loss and gradients.

    python tests/benchmarks/ecg_step.py [--runs 20] [--threads 2] [--torch]
"""

import argparse
import time

import numpy as np

import numsnn as ns
from numsnn.datasets import synthetic
from numsnn.recipes import get


def prepare():
    """(network, one batch) after an epoch of training."""
    recipe, data = get("srnn-ecg"), synthetic.ecg(128, seed=1)
    options = recipe.configured({})
    net = recipe.network(options)
    ns.fit(net, data, loss=recipe.loss, optimizer=recipe.optimizer(options), epochs=2, batch_size=16, progress=False)
    return net, data.select(slice(0, 64))


def ours(net, data):
    """A function that makes one step."""
    optimizer, loss, state = ns.optim.Adam(1e-9), ns.loss.CrossEntropy(), net.initial_state(len(data))

    def step():
        result = net.loss_and_gradients(loss, data.x, data.y, mask=data.mask, state=state)
        optimizer.update(net.params, result.grads)
        return result
    return step


def theirs(net, data):
    """The same step in PyTorch, time loop and two Linear layers with biases as in the authors' scripts."""
    import torch

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x.gt(0).float()

        @staticmethod
        def backward(context, grad):
            x, = context.saved_tensors
            normal = lambda m, s: torch.exp(-(x - m) ** 2 / (2 * s ** 2)) / (s * (2 * np.pi) ** 0.5)
            return grad * 0.5 * (1.15 * normal(0, 0.5) - 0.15 * normal(0.5, 3) - 0.15 * normal(-0.5, 3))

    p = {name: torch.tensor(a, requires_grad=True) for name, a in net.params.items()}
    state = {name: tuple(map(torch.tensor, s)) for name, s in net.initial_state(len(data)).items() if s is not None}
    x, labels = torch.tensor(data.x.dense()), torch.tensor(data.y)
    optimizer, linear = torch.optim.Adam(p.values(), 1e-9), torch.nn.functional.linear
    fixed = {name: {k: float(v[0]) for k, v in net.layers[name].fixed.items()} for name in ("alif0", "alif1")}

    def neuron(name, current, u, s, eta):
        alpha, rho = torch.exp(-1 / p[f"{name}.tau_mem"]), torch.exp(-1 / p[f"{name}.tau_adp"])
        eta = rho * eta + (1 - rho) * s
        theta = fixed[name]["v_threshold"] + fixed[name]["beta"] * eta
        u = u * alpha + (1 - alpha) * current - theta * s
        return u, Spike.apply(u - theta), eta

    def step():
        hidden, out, loss = state["alif0"], state["alif1"], 0
        for t in range(len(x)):
            current = linear(x[t], p["dense0.weight"].T, p["dense0.bias"]) + linear(hidden[1], p["alif0.recurrent"].T, p["alif0.recurrent_bias"])
            hidden = neuron("alif0", current, *hidden)
            out = neuron("alif1", linear(hidden[1], p["dense1.weight"].T, p["dense1.bias"]), *out)
            if t >= 10:
                loss = loss + torch.nn.functional.nll_loss(torch.nn.functional.log_softmax(out[0], 1), labels[t])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach()), {name: a.grad.numpy() for name, a in p.items()}
    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--torch", action="store_true")
    options = parser.parse_args()
    if options.threads:
        ns.set_num_threads(options.threads)
    net, data = prepare()
    steps = {"numsnn": ours(net, data)}
    rates = ns.evaluate(net, data).rates
    print(f"{ns.get_num_threads()} threads; input rate {data.x.rate:.3f}, " + ", ".join(f"{k} {v['rate']:.3f}" for k, v in rates.items()))
    if options.torch:
        import torch
        torch.set_num_threads(ns.get_num_threads())
        steps["PyTorch"] = theirs(net, data)
        result, (loss, grads) = steps["numsnn"](), steps["PyTorch"]()
        worst = max(np.abs(grads[k] - g).max() / np.abs(g).max() for k, g in result.grads.items() if np.abs(g).max() > 0)
        print(f"loss {result.loss:.4f} and {loss:.4f}, largest relative difference of a gradient {worst:.1e} (float32)")
    times = {name: [] for name in steps}
    for run in range(options.runs + 2):
        for name, step in steps.items():
            if name == "PyTorch" and run > 4:
                continue
            started = time.perf_counter()
            step()
            if run >= 2:
                times[name].append(1e3 * (time.perf_counter() - started))
    for name, t in times.items():
        print(f"{name:8} best {min(t):8.1f} ms, median {np.median(t):8.1f} ms")
    if options.torch:
        print(f"ratio of medians {np.median(times['PyTorch']) / np.median(times['numsnn']):.0f}")


if __name__ == "__main__":
    main()

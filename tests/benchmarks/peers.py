"""Steps of other libraries for `numsnn bench --peers tests/benchmarks/peers.py`.

What is not installed is left out.

PyTorch, eager, as the SRNN's authors write it: a loop over time, two Linear layers with biases for a
recurrent population, the surrogate as an autograd.Function, all layers within a step.  The convolutional
networks: conv2d of a step's pictures, layer by layer within the step.

PyTorch CUDA graphs, on a GPU: the same step, captured once and replayed, with no Python between its kernels.

JAX, one jitted function for loss, gradients and update: a lax.scan over time with the state of all layers as
its carry; what the first layer makes of the input is one product before the scan.

snnTorch, Norse, SpikingJelly (OTHERS): recurrent LIF layers of theirs with the same sizes, an integrating
readout, the same loss on the same input; other neurons and other weights, so only their time is told.

PyTorch and JAX start from the same weights and states, take the same dense float32 input, compute the same
loss in full float32 (on a GPU not in TF32, which flips spikes), and update with Adam at the same rate.  Data
are on the device before the clock starts.  Threads are as many as numsnn has; with --device cuda PyTorch, and
what builds on it, runs on the same GPU, JAX where its own installation puts it.  SpikingJelly's LIF node
stands beside the case lif, there on the fastest of its backends that works.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from peer_libraries import OTHERS
from peer_problems import LR, attempted, constants, dense, place, populations, slope, supported

import numsnn as ns

# ---- PyTorch


def pytorch(case, problem):
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(ns.get_num_threads())
    return _torch_of(torch, problem, _torch_step)


def pytorch_graphs(case, problem):
    try:
        import torch
    except ImportError:
        return None
    if place(torch, problem).type != "cuda" or not problem.trains:
        return None
    return _torch_of(torch, problem, _torch_graph)


def _torch_of(torch, problem, step_of):
    """step_of(torch, problem, forward, loss_of) of the network, None where it is not written here."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if isinstance(problem.net.layers[next(iter(problem.net.layers))], ns.Conv2d):
        return step_of(torch, problem, *_torch_conv(torch, problem))
    return step_of(torch, problem, *_torch_srnn(torch, problem)) if supported(problem.net) else None


def _torch_spike(torch, surrogate):
    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x.gt(0).float()

        @staticmethod
        def backward(context, grad):
            x, = context.saved_tensors
            return grad * slope(surrogate, x, torch.exp)

    return Spike.apply


def _parameters(torch, problem):
    there = place(torch, problem)
    return {name: torch.tensor(np.asarray(a), requires_grad=True, device=there)
            for name, a in problem.net.params.items()}


def _torch_step(torch, problem, forward, loss_of):
    """The step around `loss_of(forward(p))`, or the run of forward."""
    p = _parameters(torch, problem)
    optimizer = torch.optim.Adam(p.values(), LR)

    def run():
        with torch.inference_mode():
            return forward(p).cpu()

    def step():
        optimizer.zero_grad()
        loss = loss_of(forward(p))
        loss.backward()
        optimizer.step()
        return float(loss.detach()), {name: a.grad for name, a in p.items()}
    return step if problem.trains else run


def _torch_graph(torch, problem, forward, loss_of):
    """The same step as a CUDA graph; what it allocates, gradients too, stays at its places."""
    p = _parameters(torch, problem)
    optimizer = torch.optim.Adam(p.values(), LR, capturable=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(forward(p))
        loss.backward()
        optimizer.step()
        return loss

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):      # what happens in the first steps only must not be captured
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replayed():
        graph.replay()
        return float(loss.detach()), {name: a.grad for name, a in p.items()}
    return replayed


def _torch_srnn(torch, problem):
    (pairs, last), cross_entropy = populations(problem), torch.nn.functional.cross_entropy
    there = place(torch, problem)
    x, labels = torch.tensor(dense(problem.x), device=there), torch.tensor(problem.labels, device=there)
    fixed = {name: torch.tensor(a, device=there) for name, a in constants(problem.net).items()}
    start = {name: tuple(torch.tensor(np.asarray(a), device=there) for a in s)
             for name, s in problem.state.items() if s is not None}
    spikes = {name: _torch_spike(torch, layer.surrogate)
              for _, (name, layer) in pairs if isinstance(layer, ns.ALIF)}

    def forward(p):
        have, state, total, each = {**fixed, **p}, dict(start), 0, []
        for t in range(len(x)):
            y = x[t]
            for (synapse, _), (name, layer) in pairs:
                current = torch.nn.functional.linear(y, have[f"{synapse}.weight"].T, have[f"{synapse}.bias"])
                y, state[name] = _torch_population(torch, name, layer, have, current, state[name],
                                                   spikes.get(name))
            if last is None:
                each.append(y)
            elif t >= last.start:
                total = total + (torch.softmax(y, 1) if last.of == "softmax" else y)
        return torch.stack(each) if last is None else total

    def loss_of(y):
        if last is not None:
            return cross_entropy(y, labels)
        return cross_entropy(y.flatten(0, 1), labels.flatten(), reduction="sum") / y.shape[1]

    return forward, loss_of


def _torch_population(torch, name, layer, have, current, state, spike):
    """(answer, new state) after a step of an LI or ALIF population."""
    alpha = torch.exp(-1 / have[f"{name}.tau_mem"])
    if isinstance(layer, ns.LI):
        y = alpha * state[0] + (1 - alpha) * current
        return y, (y,)
    u, s, eta = state
    if layer.recur:
        weight, bias = have[f"{name}.recurrent"].T, have[f"{name}.recurrent_bias"]
        current = current + torch.nn.functional.linear(s, weight, bias)
    rho = torch.exp(-1 / have[f"{name}.tau_adp"])
    eta = rho * eta + (1 - rho) * s
    theta = have[f"{name}.v_threshold"] + have[f"{name}.beta"] * eta
    u = alpha * u + (1 - alpha) * current - theta * s
    s = spike(u - theta)
    return u if layer.output == "v" else s, (u, s, eta)


def _torch_conv(torch, problem):
    net, f = problem.net, torch.nn.functional
    there = place(torch, problem)
    x = torch.tensor(dense(problem.x), device=there).reshape(*problem.x.shape[:2], *net.input_shape)
    labels = torch.tensor(problem.labels, device=there)

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x.ge(0).float()

        @staticmethod
        def backward(context, grad):
            return grad * (context.saved_tensors[0].abs() < 0.5).float()

    def forward(p):
        v, total = dict.fromkeys(net.layers, 0.0), 0
        for t in range(len(x)):
            y = x[t]
            for name, layer in net.layers.items():
                if isinstance(layer, ns.Conv2d):
                    y = f.conv2d(y, p[f"{name}.weight"], p[f"{name}.bias"], padding=layer.geometry.padding)
                elif isinstance(layer, ns.LIAF):
                    theta, alpha = (float(layer.fixed[key][0]) for key in ("v_threshold", "alpha"))
                    u = y + v[name]
                    s = Step.apply(u - theta)
                    v[name] = alpha * u * (1 - s)
                    y = f.relu(u - theta) if layer.output == "analog" else s
                elif isinstance(layer, ns.AvgPool2d):
                    y = f.avg_pool2d(y, 2)
                elif isinstance(layer, ns.Dense):
                    y = f.linear(y.flatten(1), p[f"{name}.weight"].T, p[f"{name}.bias"])
            total = total + y
        return total / len(x)

    return forward, lambda y: f.cross_entropy(y, labels)


# ---- JAX


def jax_scan(case, problem):
    try:
        import jax
    except ImportError:
        return None
    if not supported(problem.net):
        return None
    import jax.numpy as jnp
    jax.config.update("jax_default_matmul_precision", "highest")
    answers, loss = _jax_loss(jax, jnp, problem)

    def moment(old, grads, decay, power):
        return {k: decay * old[k] + (1 - decay) * g ** power for k, g in grads.items()}

    @jax.jit
    def update(p, m, v):
        value, grads = jax.value_and_grad(loss)(p)
        m, v = moment(m, grads, 0.9, 1), moment(v, grads, 0.999, 2)
        return value, grads, {k: p[k] - LR * m[k] / (jnp.sqrt(v[k]) + 1e-8) for k in p}, m, v

    params = {name: jnp.asarray(np.asarray(a)) for name, a in problem.net.params.items()}
    zeros = {name: jnp.zeros(a.shape) for name, a in params.items()}
    have = [params, zeros, zeros]

    def step():
        value, grads, *have[:] = update(*have)
        return float(value), jax.block_until_ready(grads)

    run = jax.jit(answers)
    return step if problem.trains else lambda: np.asarray(run(params))


def _jax_loss(jax, jnp, problem):
    """Functions of the parameters: the answers, and the loss."""
    pairs, last = populations(problem)
    first, answer = pairs[0][0][0], problem.net.graph.answer
    x, labels = jnp.asarray(dense(problem.x)), jnp.asarray(problem.labels)
    fixed = {name: jnp.asarray(a) for name, a in constants(problem.net).items()}
    start = {name: tuple(jnp.asarray(np.asarray(a)) for a in s)
             for name, s in problem.state.items() if s is not None and (last is None or name != answer)}
    adaptive = {name: layer for _, (name, layer) in pairs if isinstance(layer, ns.ALIF)}
    spikes = {name: _jax_spike(jax, jnp, layer.surrogate) for name, layer in adaptive.items()}

    def answers(p):
        have = {**fixed, **p}
        alpha = {name: jnp.exp(-1 / have[f"{name}.tau_mem"]) for _, (name, _) in pairs}
        rho = {name: jnp.exp(-1 / have[f"{name}.tau_adp"]) for name in adaptive}

        def body(state, given):
            y, new = None, {}
            for i, ((synapse, _), (name, layer)) in enumerate(pairs):
                current = given if i == 0 else y @ have[f"{synapse}.weight"] + have[f"{synapse}.bias"]
                if isinstance(layer, ns.LI):
                    y = alpha[name] * state[name][0] + (1 - alpha[name]) * current
                    new[name] = (y,)
                    continue
                u, s, eta = state[name]
                if layer.recur:
                    current = current + s @ have[f"{name}.recurrent"] + have[f"{name}.recurrent_bias"]
                eta = rho[name] * eta + (1 - rho[name]) * s
                theta = have[f"{name}.v_threshold"] + have[f"{name}.beta"] * eta
                u = alpha[name] * u + (1 - alpha[name]) * current - theta * s
                s = spikes[name](u - theta)
                new[name], y = (u, s, eta), u if layer.output == "v" else s
            return new, y

        _, ys = jax.lax.scan(body, start, x @ have[f"{first}.weight"] + have[f"{first}.bias"])
        if last is None:
            return ys
        return (jax.nn.softmax(ys, -1) if last.of == "softmax" else ys)[last.start:].sum(0)

    def loss(p):
        y = answers(p)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(y, -1), labels[..., None], y.ndim - 1)
        return -chosen.sum() / x.shape[1]
    return answers, loss


def _jax_spike(jax, jnp, surrogate):
    @jax.custom_jvp
    def spike(u):
        return (u > 0).astype(jnp.float32)

    def derivative(primals, tangents):
        u, = primals
        return spike(u), slope(surrogate, u, jnp.exp) * tangents[0]

    spike.defjvp(derivative)
    return spike


PEERS = {"PyTorch eager": pytorch, "PyTorch CUDA graphs": pytorch_graphs, "JAX scan": jax_scan}
PEERS, OTHERS = ({peer: attempted(peer, make) for peer, make in of.items()} for of in (PEERS, OTHERS))

__all__ = ["OTHERS", "PEERS"]

"""Steps of other libraries for `numsnn bench --peers tests/benchmarks/peers.py`: what is not installed is left out.

PyTorch, eager, as the SRNN's authors write it: a loop over time, two Linear layers with biases for a recurrent population, the surrogate as an
autograd.Function, all layers within a step.  The convolutional networks: conv2d of a step's pictures, layer by layer within the step.

JAX, one jitted function for loss, gradients and update: a lax.scan over time with the state of all layers as its carry; what the first layer
makes of the input is one product before the scan.

snnTorch, Norse, SpikingJelly (OTHERS): recurrent LIF layers of theirs with the same sizes, an integrating readout, the same loss on the same input; other neurons
and other weights, so only their time is told.

PyTorch and JAX start from the same weights and states, take the same dense float32 input, compute the same loss, and update with Adam at the same rate.
Data are on the device before the clock starts.  Threads are as many as numsnn has; with --device cuda PyTorch, and what builds on it, runs on the same
GPU, JAX where its own installation puts it.  SpikingJelly's LIF node stands beside the case lif, there on the fastest of its backends that works.
"""

import numpy as np

import numsnn as ns

LR = 1e-9


def constants(net):
    """Settings that are not learned, by "layer.name"."""
    return {f"{name}.{key}": np.asarray(a) for name, layer in net.layers.items() for key, a in layer.fixed.items()}


def dense(x):
    return x.dense(np.float32) if isinstance(x, ns.Spikes) else np.asarray(x, np.float32)


def place(torch, problem):
    """Where PyTorch works."""
    return torch.device("cuda" if problem.net.device == "cuda" and torch.cuda.is_available() else "cpu")


def slope(surrogate, x, exp):
    """Of the surrogates that the cases use."""
    c, normal = surrogate.parameters, lambda m, s: exp(-(x - m) ** 2 / (2 * s ** 2)) / (s * (2 * np.pi) ** 0.5)
    if surrogate.name == "gaussian":
        return c["gamma"] * normal(0, c["sigma"])
    h, s, sigma = c["h"], c["s"], c["sigma"]
    return c["gamma"] * ((1 + h) * normal(0, sigma) - h * normal(sigma, s * sigma) - h * normal(-sigma, s * sigma))


def supported(net):
    return all(isinstance(layer, (ns.Dense, ns.ALIF, ns.LI, ns.OverTime)) for layer in net.layers.values()) \
        and all(layer.surrogate.name in ("gaussian", "multi_gaussian") for layer in net.layers.values() if isinstance(layer, ns.ALIF))


def populations(problem):
    """(dense layer, population) pairs, and the OverTime or None."""
    layers = list(problem.net.layers.items())
    last = layers.pop()[1] if isinstance(layers[-1][1], ns.OverTime) else None
    return list(zip(layers[::2], layers[1::2], strict=True)), last


# ---- PyTorch


def pytorch(case, problem):
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(ns.get_num_threads())
    if isinstance(problem.net.layers[next(iter(problem.net.layers))], ns.Conv2d):
        return _torch_conv(torch, problem)
    return _torch_srnn(torch, problem) if supported(problem.net) else None


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


def _torch_step(torch, problem, forward):
    """The step around `forward(p) -> loss`."""
    p = {name: torch.tensor(np.asarray(a), requires_grad=True, device=place(torch, problem)) for name, a in problem.net.params.items()}
    optimizer = torch.optim.Adam(p.values(), LR)

    def step():
        optimizer.zero_grad()
        loss = forward(p)
        loss.backward()
        optimizer.step()
        return float(loss.detach()), {name: a.grad for name, a in p.items()}
    return step


def _torch_srnn(torch, problem):
    net, (pairs, last), linear = problem.net, populations(problem), torch.nn.functional.linear
    there = place(torch, problem)
    x, labels = torch.tensor(dense(problem.x), device=there), torch.tensor(problem.labels, device=there)
    fixed = {name: torch.tensor(a, device=there) for name, a in constants(net).items()}
    start = {name: tuple(torch.tensor(np.asarray(a), device=there) for a in s) for name, s in problem.state.items() if s is not None}
    spikes = {name: _torch_spike(torch, layer.surrogate) for _, (name, layer) in pairs if isinstance(layer, ns.ALIF)}

    def forward(p):
        have, state, total, loss = {**fixed, **p}, dict(start), 0, 0
        for t in range(len(x)):
            y = x[t]
            for (synapse, _), (name, layer) in pairs:
                current = linear(y, have[f"{synapse}.weight"].T, have[f"{synapse}.bias"])
                alpha = torch.exp(-1 / have[f"{name}.tau_mem"])
                if isinstance(layer, ns.LI):
                    y = alpha * state[name][0] + (1 - alpha) * current
                    state[name] = (y,)
                    continue
                u, s, eta = state[name]
                if layer.recur:
                    current = current + linear(s, have[f"{name}.recurrent"].T, have[f"{name}.recurrent_bias"])
                rho = torch.exp(-1 / have[f"{name}.tau_adp"])
                eta = rho * eta + (1 - rho) * s
                theta = have[f"{name}.v_threshold"] + have[f"{name}.beta"] * eta
                u = alpha * u + (1 - alpha) * current - theta * s
                s = spikes[name](u - theta)
                state[name], y = (u, s, eta), u if layer.output == "v" else s
            if last is None:
                loss = loss + torch.nn.functional.cross_entropy(y, labels[t])
            elif t >= last.start:
                total = total + (torch.softmax(y, 1) if last.of == "softmax" else y)
        return loss if last is None else torch.nn.functional.cross_entropy(total, labels)

    return _torch_step(torch, problem, forward)


def _torch_conv(torch, problem):
    net, f, pictures = problem.net, torch.nn.functional, problem.net.input_shape
    there = place(torch, problem)
    x, labels = torch.tensor(dense(problem.x), device=there).reshape(*problem.x.shape[:2], *pictures), torch.tensor(problem.labels, device=there)

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
                    u, theta, alpha = y + v[name], float(layer.fixed["v_threshold"][0]), float(layer.fixed["alpha"][0])
                    s = Step.apply(u - theta)
                    v[name], y = alpha * u * (1 - s), f.relu(u - theta) if layer.output == "analog" else s
                elif isinstance(layer, ns.AvgPool2d):
                    y = f.avg_pool2d(y, 2)
                elif isinstance(layer, ns.Dense):
                    y = f.linear(y.flatten(1), p[f"{name}.weight"].T, p[f"{name}.bias"])
            total = total + y
        return f.cross_entropy(total / len(x), labels)

    return _torch_step(torch, problem, forward)


# ---- JAX


def jax_scan(case, problem):
    try:
        import jax
    except ImportError:
        return None
    if not supported(problem.net):
        return None
    import jax.numpy as jnp
    net, (pairs, last) = problem.net, populations(problem)
    x, labels = jnp.asarray(dense(problem.x)), jnp.asarray(problem.labels)
    fixed = {name: jnp.asarray(a) for name, a in constants(net).items()}
    start = {name: tuple(jnp.asarray(np.asarray(a)) for a in s) for name, s in problem.state.items() if s is not None and name != net._graph.answer or last is None and s is not None}

    def spike_of(surrogate):
        @jax.custom_jvp
        def spike(u):
            return (u > 0).astype(jnp.float32)

        spike.defjvp(lambda primals, tangents: (spike(primals[0]), slope(surrogate, primals[0], jnp.exp) * tangents[0]))
        return spike

    spikes = {name: spike_of(layer.surrogate) for _, (name, layer) in pairs if isinstance(layer, ns.ALIF)}

    def loss(p):
        have, first = {**fixed, **p}, pairs[0][0][0]
        alpha = {name: jnp.exp(-1 / have[f"{name}.tau_mem"]) for _, (name, _) in pairs}
        rho = {name: jnp.exp(-1 / have[f"{name}.tau_adp"]) for _, (name, layer) in pairs if isinstance(layer, ns.ALIF)}

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
            logs = jax.nn.log_softmax(ys, -1)
            return -jnp.take_along_axis(logs, labels[..., None], 2).sum() / x.shape[1]
        total = (jax.nn.softmax(ys, -1) if last.of == "softmax" else ys)[last.start:].sum(0)
        return -jnp.take_along_axis(jax.nn.log_softmax(total, -1), labels[:, None], 1).mean()

    @jax.jit
    def update(p, m, v):
        value, grads = jax.value_and_grad(loss)(p)
        m, v = ({k: b * old[k] + (1 - b) * g ** power for k, g in grads.items()} for old, b, power in ((m, 0.9, 1), (v, 0.999, 2)))
        return value, grads, {k: p[k] - LR * m[k] / (jnp.sqrt(v[k]) + 1e-8) for k in p}, m, v

    zeros = {name: jnp.zeros(a.shape) for name, a in net.params.items()}
    have = [{name: jnp.asarray(np.asarray(a)) for name, a in net.params.items()}, zeros, zeros]

    def step():
        value, grads, *have[:] = update(*have)
        return float(value), {name: np.asarray(jax.block_until_ready(g)) for name, g in grads.items()}
    return step


# ---- libraries on top of PyTorch


def _library(make):
    """function(case, problem) from make(n_in, n) -> (module, begin() -> state, step(x, state) -> (spikes, state))."""
    def made(case, problem):
        if case == "lif":
            return None
        try:
            import torch
            populations_of, last = populations(problem) if supported(problem.net) else (None, None)
            if populations_of is None:
                return None
            cells = [make(torch, dense.n_in, dense.n_out) for (_, dense), (_, layer) in populations_of if getattr(layer, "recur", None)]
        except ImportError:
            return None
        torch.set_num_threads(ns.get_num_threads())
        there = place(torch, problem)
        readout = torch.nn.Linear(populations_of[-1][0][1].n_in, populations_of[-1][0][1].n_out).to(there)
        for module, _, _ in cells:
            module.to(there)
        x, labels = torch.tensor(dense(problem.x), device=there), torch.tensor(problem.labels, device=there)
        cross_entropy = torch.nn.functional.cross_entropy
        optimizer = torch.optim.Adam([p for module, _, _ in cells for p in module.parameters()] + list(readout.parameters()), LR)

        def step():
            optimizer.zero_grad()
            state, v, total, loss = [begin() for _, begin, _ in cells], 0, 0, 0
            for t in range(len(x)):
                y = x[t]
                for i, (_, _, run) in enumerate(cells):
                    y, state[i] = run(y, state[i])
                v = 0.95 * v + 0.05 * readout(y)
                if labels.ndim == 2:
                    loss = loss + cross_entropy(v, labels[t])
                elif t >= last.start:
                    total = total + torch.softmax(v, 1)
            loss = loss if labels.ndim == 2 else cross_entropy(total, labels)
            loss.backward()
            optimizer.step()
            if there.type == "cuda":
                torch.cuda.synchronize()
        return step
    return made


def _snntorch(torch, n_in, n):
    import snntorch
    synapse, cell = torch.nn.Linear(n_in, n), snntorch.RLeaky(beta=0.95, linear_features=n, all_to_all=True)

    def run(x, state):
        state = cell(synapse(x), *state)
        return state[0], state
    return torch.nn.ModuleList((synapse, cell)), cell.init_rleaky, run


def _norse(torch, n_in, n):
    from norse.torch import LIFRecurrentCell
    cell = LIFRecurrentCell(n_in, n)
    return cell, lambda: None, cell


def _spikingjelly(torch, n_in, n):
    from spikingjelly.activation_based import functional, layer, neuron
    module = torch.nn.Sequential(torch.nn.Linear(n_in, n), layer.LinearRecurrentContainer(neuron.LIFNode(), n, n))
    return module, lambda: functional.reset_net(module), lambda x, state: (module(x), state)


def spikingjelly_node(case, problem):
    """A LIF node over the whole sequence, forward and backward."""
    if case != "lif":
        return None
    try:
        import torch
        from spikingjelly.activation_based import functional, neuron
    except ImportError:
        return None
    there = place(torch, problem)
    x, dy = (torch.tensor(a, device=there) for a in (problem.x, problem.dy))
    x.requires_grad_()

    def step_of(backend):
        node = neuron.LIFNode(tau=20.0, v_threshold=0.3).to(there)
        functional.set_step_mode(node, "m")
        if backend != "torch":
            functional.set_backend(node, backend)

        def step():
            functional.reset_net(node)
            x.grad = None
            node(x).backward(dy)
            if there.type == "cuda":
                torch.cuda.synchronize()
        return step

    for backend in ("triton", "cupy", "torch") if there.type == "cuda" else ("torch",):
        try:
            step = step_of(backend)
            step()
        except Exception as error:      # noqa: BLE001  whatever a backend that is not installed says
            print(f"SpikingJelly's backend {backend} does not work here: {error}")
            continue
        return step
    return None


PEERS = {"PyTorch eager": pytorch, "JAX scan": jax_scan}
OTHERS = {"snnTorch": _library(_snntorch), "Norse": _library(_norse), "SpikingJelly": _library(_spikingjelly), "SpikingJelly's LIF node": spikingjelly_node}

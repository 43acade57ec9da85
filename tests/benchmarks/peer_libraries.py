"""Steps of libraries on top of PyTorch for `numsnn bench`: snnTorch, Norse, SpikingJelly; see peers.py."""

from peer_problems import LR, dense, place, populations, supported

import numsnn as ns


def _library(make):
    """function(case, problem) from make(n_in, n) -> (module, begin, step).

    begin() -> state.  step(x, state) -> (spikes, state).
    """
    def made(case, problem):
        if case == "lif":
            return None
        try:
            import torch
            pairs, last = populations(problem) if supported(problem.net) else (None, None)
            if pairs is None:
                return None
            cells = [make(torch, synapse.n_in, synapse.n_out)
                     for (_, synapse), (_, layer) in pairs if getattr(layer, "recur", None)]
        except ImportError:
            return None
        torch.set_num_threads(ns.get_num_threads())
        there = place(torch, problem)
        readout = torch.nn.Linear(pairs[-1][0][1].n_in, pairs[-1][0][1].n_out).to(there)
        for module, _, _ in cells:
            module.to(there)
        x, labels = torch.tensor(dense(problem.x), device=there), torch.tensor(problem.labels, device=there)
        cross_entropy = torch.nn.functional.cross_entropy
        of_cells = [p for module, _, _ in cells for p in module.parameters()]
        optimizer = torch.optim.Adam(of_cells + list(readout.parameters()), LR)

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
    recurrent = layer.LinearRecurrentContainer(neuron.LIFNode(), n, n)
    module = torch.nn.Sequential(torch.nn.Linear(n_in, n), recurrent)

    def run(x, state):
        return module(x), state
    return module, lambda: functional.reset_net(module), run


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


OTHERS = {"snnTorch": _library(_snntorch), "Norse": _library(_norse), "SpikingJelly": _library(_spikingjelly),
          "SpikingJelly's LIF node": spikingjelly_node}

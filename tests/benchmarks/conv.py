"""Time of a convolution, forward and backward: values with dx, and Spikes with 2 % of the places.

Against PyTorch, where it is installed.

Method: the loops of a layer on chunks of samples, as a network hands them over (chunk bounds and threads are
the network's own), float32, padding 1 (2 for kernels of 5), normal values and weights, normal dy.  Not
counted on either side: cutting the batch into chunks, and for events making Spikes or dense arrays of them.
PyTorch: conv2d and backward of the whole batch at once, dense in both cases, dx for values only, the same
number of threads.  They take turns (numsnn.bench.interleaved); best and median are printed, and the ratio of
ours to PyTorch's (below 1: ours is faster) with the best of each and, in brackets, the medians.  First both
must agree.

`network` counts also what a network of this one layer does around it: slices of x and dy, and one answer of
all chunks.

    python tests/benchmarks/conv.py [--runs 15] [--threads 2]
"""

import argparse

import numpy as np

import numsnn as ns
from numsnn.bench import Part, interleaved
from numsnn.devices import threads
from numsnn.devices.cpu import device as cpu
from numsnn.network import chunking

# in, out, kernel, rows, B, T
SHAPES = [(1, 16, 3, 28, 64, 10), (16, 32, 3, 13, 64, 10), (2, 16, 5, 34, 16, 30), (32, 64, 3, 16, 64, 4)]


def case(shape, events):
    """(network, x, dy)"""
    c, o, k, h, batch, steps = shape
    rng = np.random.default_rng(0)
    net = ns.Network(ns.Conv2d(c, o, k, padding=k // 2), input_shape=(c, h, h))
    x = rng.normal(size=(steps, batch, c * h * h)).astype(np.float32)
    if events:
        x = ns.Spikes.from_dense(rng.random(x.shape) < 0.02)
    dy = rng.normal(size=(steps, batch, o * h * h)).astype(np.float32)
    return net, x, dy


def of_loops(net, x, dy):
    """The step and what it gives: y of the first chunk, gradient of the weights, dx of the first chunk."""
    layer, batch = net.layers["conv0"], x.shape[1]
    weight, bias = layer.prepare(None)
    events = isinstance(x, ns.Spikes)
    parts = [slice(*of) for of in chunking.bounds(net, batch, net.graph.stages(True)[0])]
    xs = [x.select(p) if events else x[:, p].copy() for p in parts]
    dys = [dy[:, p].copy() for p in parts]
    given = [None] * len(parts)

    def task(i):
        y = cpu.conv_forward(xs[i], weight, bias, layer.geometry)
        dweight, dbias, dx = cpu.conv_backward(xs[i], weight, dys[i], layer.geometry, not events)
        given[i] = (y if i == 0 else None, dweight, dbias, dx if i == 0 else None)

    def step():
        with cpu.one_thread():
            threads.run(task, len(parts), 1 << 30)
        return given[0][0], sum(g[1] for g in given), sum(g[2] for g in given), given[0][3]
    return step


def of_network(net, x, dy):
    def step():
        y, _, tape = net.forward(x)
        net.backward(tape, dy.reshape(y.shape), want_dx=not isinstance(x, ns.Spikes))
    return step


def of_torch(net, x, dy):
    import torch
    torch.set_num_threads(ns.get_num_threads())
    events, g = isinstance(x, ns.Spikes), net.layers["conv0"].geometry
    weight = torch.tensor(net.params["conv0.weight"], requires_grad=True)
    bias = torch.tensor(net.params["conv0.bias"], requires_grad=True)
    values = x.dense() if events else x
    pictures = torch.tensor(values.reshape(-1, g.channels, *g.size), requires_grad=not events)
    grad = torch.tensor(dy.reshape(len(pictures), len(weight), *g.out))

    def step():
        weight.grad = bias.grad = pictures.grad = None
        y = torch.nn.functional.conv2d(pictures, weight, bias, padding=g.padding)
        y.backward(grad)
        return y.detach(), weight.grad, bias.grad, pictures.grad
    return step


def check(mine, theirs, x):
    """Both agree: relative to the largest number, in float32."""
    y, dweight, dbias, dx = mine
    n = y.shape[1]

    def first_chunk(a):
        return None if a is None else a.numpy().reshape(*x.shape[:2], -1)[:, :n]

    their_y, their_dweight, their_dbias, their_dx = theirs
    for a, b in ((y, first_chunk(their_y)), (dweight, their_dweight.numpy()), (dbias, their_dbias.numpy()),
                 (dx, first_chunk(their_dx))):
        if a is not None:
            assert np.abs(a - b.reshape(a.shape)).max() < 1e-4 * np.abs(b).max()


def main():
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    ns.set_num_threads(options.threads)
    makers = {"loops": of_loops, "network": of_network}
    try:
        import torch  # noqa: F401
        makers["PyTorch"] = of_torch
    except ImportError:
        print("PyTorch is not installed: times of ours only")
    print(f"{options.threads} threads, {options.runs} runs; ms, best (median)")
    for shape in SHAPES:
        for events in (False, True):
            measure(shape, events, makers, options.runs)


def measure(shape, events, makers, runs):
    """Print the times of one shape, after ours and PyTorch's results were compared."""
    data = case(shape, events)
    steps = {name: make(*data) for name, make in makers.items()}
    results = {name: step() for name, step in steps.items()}
    if "PyTorch" in results:
        check(results["loops"], results["PyTorch"], data[1])
    del results
    times = interleaved({name: Part(step) for name, step in steps.items()}, runs)
    line = ", ".join(f"{name} {1e3 * t.best:6.1f} ({1e3 * t.median:6.1f})" for name, t in times.items())
    if "PyTorch" in times:
        theirs = times["PyTorch"]
        ratios = [f"{times[m].best / theirs.best:.2f} ({times[m].median / theirs.median:.2f})"
                  for m in ("loops", "network")]
        line += "; ratio " + ", ".join(ratios)
    n_in, n_out, kernel, rows, batch, n_steps = shape
    print(f"{n_in} -> {n_out}, {kernel}x{kernel}, {rows} rows, B {batch}, T {n_steps}: ",
          "2 % events:" if events else "values:    ", line, flush=True)


if __name__ == "__main__":
    main()

"""The CUDA device: all of on_cuda.py on the GPU, or in Numba's simulator; kernels compiled without a GPU; what is said where none is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import numsnn as ns


def _gpu():
    try:
        ns.loops.get("cuda")
    except (ImportError, OSError):
        return False
    return True


def test_on_the_gpu_or_in_the_simulator():
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(Path(__file__).with_name("on_cuda.py"))], capture_output=True, text=True,
                          check=False, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "0" if _gpu() else "1", "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


@pytest.mark.skipif(_gpu(), reason="there is a GPU")
def test_what_is_missing_is_said():
    with pytest.raises((ImportError, OSError), match='device="cuda" needs .*(pip install "numsnn\\[cuda\\]"|driver).*device="cpu"'):
        ns.Network(ns.Dense(2, 3), device="cuda")


PTX = """
import re, sys, types as python
import numpy as np
from numba import cuda, types
import numba.cuda.dispatcher
numba.cuda.dispatcher.get_current_device = lambda: python.SimpleNamespace(compute_capability=(8, 0))
from numsnn import optim, surrogate
from numsnn.activation import ACTIVATIONS
from numsnn.loops import cuda_array, cuda_conv, cuda_dense, cuda_over_time, cuda_population
from numsnn.neurons import NEURONS

real, index = types.float32, types.int64
many, words, ints, absent, flag = real[::1], types.uint32[::1], types.int32[::1], types.Tuple(()), types.boolean


def each(cls, of):
    return types.NamedTuple([of if isinstance(of, types.Type) else of(f) for f in cls._fields], cls)


def check(name, kernel, *signature):
    ptx, _ = cuda.compile_ptx(kernel.py_func, types.void(*signature), cc=(8, 0))
    wrong = [line.strip() for line in ptx.splitlines() if re.search(r"[.]f64|[.]local|__local_depot|\\\\bcall\\\\b", line)]
    assert not wrong, (name, wrong[:3])
    print(name)


s = surrogate.get("multi_gaussian")
k, sizes = each(type(s.typed(np.float32)), real), each(cuda_population.Sizes, index)


def named(cls, *of):
    return types.NamedTuple(of, cls)


for model in (m for m in NEURONS.values() if len(m.recurrent) == 1 and m.second is None):
    x, p, state, sums = (each(cls, many) for cls in (model.Inputs, model.Params, model.State, model.Params))
    out = each(model.Out, lambda f: many if f == model.output else absent)
    back = each(model.Out, lambda f: many if f == model.recurs else absent)
    neuron, kept, weights = named(cuda_population.Neuron, p, k), named(cuda_population.Kept, state, out), named(cuda_population.Weights, many, many, flag)
    forward, backward = cuda_population.alone_kernels(model, s.spike, s.slope, ACTIVATIONS["identity"], 4, model.spiking)
    check(model.name + " forward", forward, sizes, x, neuron, state, kept, words, ints)
    check(model.name + " backward", backward, sizes, x, neuron, kept, state, x, sums, ints)
    forward, backward = cuda_population.recurrent_kernels(model, s.spike, s.slope, ACTIVATIONS["identity"], model.recurs, 100, model.recurs == "spike", "float32")
    check(model.name + " recurrent forward", forward, sizes, x, neuron, state, kept, many, weights, words, flag, ints)
    incoming = named(cuda_population.Kept, state, named(cuda_population.Incoming, out, back))
    check(model.name + " recurrent backward", backward, sizes, x, neuron, incoming, state, x, sums, weights, ints)
factor = named(cuda_dense.Factor, many, index, index)
check("product", cuda_dense.product_kernel(16, "float32", True), factor, factor, many, many, index, index, index)
check("rows", cuda_dense.rows_kernel("float32"), many, index, index, index, many, index)
check("from bits", cuda_dense.from_bits_kernel(), words, index, many, many, index, many, index)
check("outer", cuda_dense.outer_kernel("float32"), words, index, index, many, index, index, index, many, index)
check("softmax", cuda_dense.softmax_kernel(), many, many, index, index)
check("cross-entropy", cuda_dense.cross_entropy_kernel("float32"), many, ints, many, many, many, index, index)
window = each(cuda_conv.Window, index)
for as_bits in (False, True):
    check("conv", cuda_conv.forward_kernel(as_bits), words if as_bits else many, index, many, many, window, index, many, index)
    check("conv, weights", cuda_conv.weight_kernel(as_bits, "float32"), words if as_bits else many, index, many, window, index, index, index, many, index)
check("conv, input", cuda_conv.input_kernel("float32"), many, many, window, index, many, index)
check("largest", cuda_conv.largest_kernel(), many, window, many, ints, index)
check("summed", cuda_conv.summed_kernel("float32"), many, window, real, many, index)
check("spread", cuda_conv.spread_kernel(True, "float32"), many, ints, window, real, many, index)
for rule, slots, constants in ((optim.adam, optim.Moments, optim.AdamConstants), (optim.sgd, optim.Momentum, optim.SGDConstants), (optim.adamax, optim.Largest, optim.AdamConstants)):
    check("update", cuda_dense.update_kernel(rule), many, many, each(slots, many), each(constants, real), index)
for reduce in ("sum", "mean", "max", "last"):
    check(reduce, cuda_over_time.forward_kernel(reduce, "float32"), sizes, index, many, ints, many, many, many, ints)
    check(reduce + " backward", cuda_over_time.backward_kernel(reduce, "float32"), sizes, index, many, many, ints, many, ints, many, many)
"""


def test_kernels_compile_without_doubles_local_memory_or_calls():
    """PTX for a GPU that need not be there."""
    pytest.importorskip("numba_cuda", reason='the package numba-cuda is not installed (pip install "numsnn[cuda]"): nothing to compile with')
    done = subprocess.run([sys.executable, "-c", PTX], capture_output=True, text=True, check=False, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "0"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) > 30

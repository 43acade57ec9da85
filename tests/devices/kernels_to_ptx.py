"""Every kernel compiled to PTX, for a GPU that need not be there: no doubles, no local memory, no calls.

test_cuda.py runs it.
"""

import re
import types as python

import numba.cuda.dispatcher
import numpy as np
from numba import cuda, types

GPU = (8, 0)        # its compute capability
numba.cuda.dispatcher.get_current_device = lambda: python.SimpleNamespace(compute_capability=GPU)
from numsnn import optim, surrogate
from numsnn.devices.contract import Dynamics, Lagged, Late
from numsnn.devices.cuda import (
    alone as cuda_alone,
    conv as cuda_conv,
    conv_tables as cuda_conv_tables,
    delay as cuda_delay,
    dense as cuda_dense,
    gated as cuda_gated,
    lagged as cuda_lagged,
    late as cuda_late,
    layer_norm as cuda_layer_norm,
    norm as cuda_norm,
    over_time as cuda_over_time,
    pointwise as cuda_pointwise,
    pool as cuda_pool,
    population as cuda_population,
    product as cuda_product,
    rate_band as cuda_rate_band,
    recurrent as cuda_recurrent,
    spikes as cuda_spikes,
    steps as cuda_steps,
    two_stage as cuda_two_stage,
)
from numsnn.neurons import NEURONS
from numsnn.neurons.activation import ACTIVATIONS

real, index = types.float32, types.int64
many, words, ints, counts = real[::1], types.uint32[::1], types.int32[::1], index[::1]
absent, flag = types.Tuple(()), types.boolean


def each(cls, of):
    return types.NamedTuple([of if isinstance(of, types.Type) else of(f) for f in cls._fields], cls)


def check(name, kernel, *signature, doubles=False):
    """doubles: whether it may have them, for a few numbers of a step."""
    ptx, _ = cuda.compile_ptx(kernel.py_func, types.void(*signature), cc=GPU)
    forbidden = r"[.]local|__local_depot|\bcall\b" + ("" if doubles else r"|[.]f64")
    wrong = [line.strip() for line in ptx.splitlines() if re.search(forbidden, line)]
    assert not wrong, (name, wrong[:3])
    print(name)


s = surrogate.get("multi_gaussian")
k, sizes = each(type(s.typed(np.float32)), real), each(cuda_population.Sizes, index)


def named(cls, *of):
    return types.NamedTuple(of, cls)


def some(cls, names):
    """A named tuple of arrays, of which only those of these names are there."""
    return each(cls, lambda f: many if f in names else absent)


def check_alone(model):
    x, p, state = (each(cls, many) for cls in (model.Inputs, model.Params, model.State))
    neuron = named(cuda_population.Neuron, p, k)
    kept = named(cuda_population.Kept, state, some(model.Out, {model.output}))
    what = model, s.spike, s.slope, ACTIVATIONS["tanh"]
    forward, backward = cuda_alone.alone_kernels(*what, 4, model.spiking)
    check(model.name + " forward", forward, sizes, x, neuron, state, kept, words, ints)
    check(model.name + " backward", backward, sizes, x, neuron, kept, state, x, p, ints)


def check_recurrent(model, recur):
    x, p, state = (each(cls, many) for cls in (model.Inputs, model.Params, model.State))
    neuron, out = named(cuda_population.Neuron, p, k), some(model.Out, {model.output})
    first, second = set(model.recurrent) - {model.second}, {model.second}
    weights = named(cuda_gated.Weights, some(model.Inputs, first), some(model.Inputs, model.recurrent),
                    some(model.Inputs, second), many if model.second else absent)
    what = model, s.spike, s.slope, ACTIVATIONS["tanh"], recur, 100
    if model.second:
        forward, backward = cuda_two_stage.two_stage_kernels(*what, "float32")
    else:
        forward, backward = cuda_recurrent.recurrent_kernels(*what, recur == "spike", "float32")
    kept = named(cuda_population.Kept, state, out)
    check(model.name + " recurrent forward", forward,
          sizes, x, neuron, state, kept, many, weights, words, flag, ints)
    incoming = named(cuda_population.Incoming, out, some(model.Out, {recur}))
    kept = named(cuda_population.Kept, state, incoming)
    check(model.name + " recurrent backward", backward,
          sizes, x, neuron, kept, state, x, p, weights, ints)


def check_late(model, recur):
    """What comes late, of neurons and of synapses."""
    x, p, state = (each(cls, many) for cls in (model.Inputs, model.Params, model.State))
    neuron, out = named(cuda_population.Neuron, p, k), some(model.Out, {model.output})
    incoming = named(cuda_population.Incoming, out, some(model.Out, {recur}))
    incoming = named(cuda_population.Kept, state, incoming)
    fed, biases = some(model.Inputs, model.recurrent), some(model.Inputs, model.recurrent)
    neurons = named(cuda_late.Way, named(cuda_late.Shares, many, ints, ints), many, index, many, many)
    synapses = named(cuda_late.Way, fed, fed, index, absent, absent)
    ones = np.ones((2, 3), np.float32)
    for late, way in ((Late.of(ones, True), neurons), (Lagged(ones, None, None, 1), synapses)):
        dynamics = Dynamics(model, s, recur, ACTIVATIONS["tanh"], True)
        forward, backward = cuda_late.late_kernels(dynamics, 100, late, "float32")
        weights = named(cuda_gated.Weights, fed if way is neurons else some(model.Inputs, ()), biases,
                        some(model.Inputs, ()), absent)
        check(model.name + " late forward", forward,
              sizes, x, neuron, state, named(cuda_population.Kept, state, out), way, weights, ints)
        check(model.name + " late backward", backward,
              sizes, x, neuron, incoming, state, x, p, way, weights, ints)


for model in NEURONS.values():
    check_alone(model)
    if model.name in ("LIF", "ALIF", "LSTM"):
        check_late(model, model.recurs)
    for recur in sorted({model.recurs, *({"spike"} if model.spiking else ())}):
        check_recurrent(model, recur)
check("columns", cuda_gated._columns(), many, index, index, many, index, index, index, index)
check("turned", cuda_gated._turned(), many, index, index, many, index)
check("begin", cuda_late._begin(), many, index, ints, index, index, index, index, many, index)
check("end", cuda_late._end(), many, index, ints, index, index, index, index, many, index)
square, flat = cuda_product.Cut(16, 16, 16), cuda_product.Cut(4, 64, 16)
for tiles, turned in ((square, (False, True)), (flat, (True, False))):
    kernel = cuda_product.product_kernel(tiles, "float32", turned, True)
    check("product", kernel, many, many, many, many, index, index, index)
check("rows", cuda_dense.rows_kernel("float32"), many, index, index, index, many, index, index)
check("from bits", cuda_dense.from_bits_kernel(), words, index, many, many, index, many, index)
for of in ("squares", "values", "broken"):
    check("total", cuda_dense.total_kernel(of, 256), many, index, index, many, index)
check("outer", cuda_dense.outer_kernel(96, "float32"),
      words, index, index, many, index, index, index, many)
check("softmax", cuda_dense.softmax_kernel(), many, many, index, index)
check("cross-entropy", cuda_dense.cross_entropy_kernel("float32"),
      many, ints, many, many, many, index, index)
window = each(cuda_conv.Window, index)
check("conv, spikes", cuda_conv.spikes_kernel(), words, index, many, many, window, index, many, index)
check("conv, spikes, weights", cuda_conv.spikes_weight_kernel("float32"),
      words, index, many, window, index, index, index, many, index)
taps, places = each(cuda_conv_tables.Taps, ints), each(cuda_conv_tables.Places, ints)
seen = each(cuda_conv_tables.Sizes, index)
for tiles, biased in ((square, True), (flat, False)):
    kernel = cuda_conv.gathered_kernel(tiles, "float32", biased)
    check("conv", kernel, many, many, many, taps, places, seen, many)
    kernel = cuda_conv.weight_kernel(tiles, "float32")
    check("conv, weights", kernel, many, many, taps, places, seen, index, many)
check("largest", cuda_pool.largest_kernel(), many, window, many, ints, index)
check("summed", cuda_pool.summed_kernel("float32"), many, window, real, many, index)
check("spread", cuda_pool.spread_kernel(True, "float32"), many, ints, window, real, many, index)
planes, norming = each(cuda_norm.Planes, index), each(cuda_norm.Norming, real)
channels = each(cuda_norm.Channels, many)
features, moments = each(cuda_layer_norm.Features, index), each(cuda_norm.Sums, many)
for of in (False, True):
    check("moment", cuda_norm.moment_kernel(of, "float32"), planes, many, many, ints, many, index)
    check("pair", cuda_norm.pair_kernel(of, "float32"), planes, many, many, many, ints, many, index)
check("places", cuda_norm.places_kernel("float32"), many, index, index, real, many, index, index)
check("shift", cuda_norm.shift_kernel("float32"), planes, norming, many, channels, ints, many, index)
unbiased = each(cuda_norm.Channels, lambda f: absent if f == "bias" else many)
check("back", cuda_norm.back_kernel("float32"),
      planes, norming, real, many, many, unbiased, moments, ints, many, index)
check("gain", cuda_norm.gain_kernel(), norming, many, many, many, index)
for lanes, across, keeps in ((128, 1, True), (4, 32, True), (1, 32, False)):
    forward, backward = cuda_layer_norm.layer_kernels(lanes, across, keeps, "float32")
    check("layer norm", forward, features, real, many, many, many, many, many, many)
    check("layer norm backward", backward, features, many, many, many, many, many)
for activation in ACTIVATIONS.values():
    check(activation.name, cuda_pointwise.value_kernel(activation.value), many, many, index)
    check(activation.name + " slope", cuda_pointwise.slope_kernel(activation.slope), many, many, many, index)
for name, kernel in zip(("ternary", "ternary backward"), cuda_pointwise.ternary_kernels(s.spike, s.slope),
                        strict=True):
    gradients = () if name == "ternary" else (many, many)
    check(name, kernel, many, real, k, many, *gradients, index)
for of in (many, words):
    check("rows", cuda_steps.rows_kernel(), of, counts, index, of, index)
check("count", cuda_rate_band.count_kernel(), many, index, ints, index)
band, levels = types.UniTuple(types.float64, 5), types.float64[::1]
check("move", cuda_rate_band.move_kernel(128), ints, index, index, band, levels, levels, many, doubles=True)
check("spikes beside", cuda_spikes.shifted_kernel(), words, index, index, words, index, index, index)
check("factors", cuda_pointwise.factors_kernel("float32"),
      many, index, index, types.uint32, real, many, index)
check("times", cuda_pointwise.times_kernel(), many, many, index, index, many, index)
of_delays = each(cuda_delay.Sizes, index)
places = each(cuda_delay.Places, lambda f: many if f in ("newer", "older") else index[::1])
check("delayed", cuda_delay.delayed_kernel(), many, many, places, of_delays, many, many, flag, index)
check("kept", cuda_delay.kept_kernel(), many, many, places, of_delays, many, index)
check("returned", cuda_delay.returned_kernel("float32"), many, many, places, of_delays, many, index, many,
      index)
of_lagged = each(cuda_lagged.Sizes, index)
for x, listed in ((words, True), (many, False)):
    check("lagged", cuda_lagged.sums_kernel(listed),
          x, many, many, many, index[::1], of_lagged, many, many, index)
    kernel = cuda_lagged.weight_kernel(listed, "float32")
    check("lagged, weights", kernel, x, many, index[::1], of_lagged, many, index)
check("lagged, returned", cuda_lagged.returned_kernel("float32"),
      many, many, index[::1], of_lagged, many, many, index)
check("lagged, input", cuda_lagged.input_kernel("float32"), many, many, index[::1], of_lagged, many, index)
for rule, slots, constants in ((optim.adam, optim.Moments, optim.AdamConstants),
                               (optim.sgd, optim.Momentum, optim.SGDConstants),
                               (optim.adamax, optim.Largest, optim.AdamConstants)):
    kernel = cuda_dense.update_kernel(rule)
    check("update", kernel, many, many, each(slots, many), each(constants, real), index)
for reduce in ("sum", "mean", "max", "last"):
    kernel = cuda_over_time.forward_kernel(reduce, "float32")
    check(reduce, kernel, sizes, index, many, ints, many, counts, many, ints)
    kernel = cuda_over_time.backward_kernel(reduce, "float32")
    check(reduce + " backward", kernel, sizes, index, many, many, ints, counts, ints, many, many)

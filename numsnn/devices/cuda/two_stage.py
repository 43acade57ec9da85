"""Recurrent populations with two products a step on the GPU, where the second takes what the first decided (a model's SECOND and `between`).

A block for each sample, as in population.py, whose threads meet twice a step:

    products of what recurs -> `between` | its product -> `step` |

What recurs lies in shared memory as values, spikes too.  The backward pass goes the same way back; what came of `between` is computed anew there.
"""

from functools import lru_cache

import numpy as np
from numba import cuda

from ...neurons.model import Functions
from ..access import accumulate, clear, gather, gather_sum, scatter
from ..jit import jitable
from .gated import add_products, add_values, captured, parts_of, total


@lru_cache(None)
def two_stage_kernels(model, spike, slope, activation, recur, units, real):
    """(forward, backward) of a recurrent population of so many units; their arguments are those of cuda_population's."""
    spike, slope, act, act_slope = captured(spike, slope, activation)
    step, adjoint, between, between_adjoint = map(jitable, (model.step, model.step_adjoint, model.between, model.between_adjoint))
    recur, second, n_back = model.Out._fields.index(recur), model.Inputs._fields.index(model.second), len(model.recurrent) * units
    real, zero = np.dtype(real).type, np.dtype(real).type(0)
    nothing = model.Inputs(*(zero for _ in model.Inputs._fields))

    @cuda.jit
    def forward(sizes, x, neuron, state, kept, last, recurrent, bits, bits_wanted, lengths):
        """bits: none."""
        f, batch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch
        recurring = cuda.shared.array(units, real)
        middle = cuda.shared.array(units, real)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length = lengths[b]
        for n in range(thread, units, threads):
            recurring[n] = last[b * units + n]
        cuda.syncthreads()
        for t in range(length):
            row = (t * batch + b) * units
            for n in range(thread, units, threads):
                current = add_values(gather_sum(x, row + n, recurrent.bias, n), recurrent.weight, recurring, 0, units, n)
                scatter(x, row + n, current)
                middle[n] = between(current, gather(state, b * units + n), gather(neuron.params, n), f)
            cuda.syncthreads()
            for n in range(thread, units, threads):
                i, s = row + n, b * units + n
                current, before = add_values(gather(x, i), recurrent.second, middle, 0, units, n), gather(state, s)
                given, after = step(current, before, gather(neuron.params, n), f)
                scatter(x, i, current)
                scatter(kept.states, i, before)
                scatter(kept.out, i, given)
                scatter(state, s, after)
                recurring[n] = given[recur]
            cuda.syncthreads()
        for t in range(length, sizes.steps):
            for n in range(thread, units, threads):
                clear(kept.out, (t * batch + b) * units + n)
        for n in range(thread, units, threads):
            last[b * units + n] = recurring[n]

    @cuda.jit
    def backward(sizes, x, neuron, kept, dstate, dx, sums, recurrent, lengths):
        f, batch, back = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, kept.out.back
        memory = cuda.shared.array(n_back, real)        # the gradients of SECOND's current, then of the others
        gradients = parts_of(memory[units:], recurrent.weight, units)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length = lengths[b]
        for t in range(length, sizes.steps):
            for n in range(thread, units, threads):
                clear(dx, (t * batch + b) * units + n)
                recurrent.between[(t * batch + b) * units + n] = zero
        for ago in range(length):
            row = ((length - 1 - ago) * batch + b) * units
            for n in range(thread, units, threads):
                i, s = row + n, b * units + n
                if ago > 0:
                    back[recur][s] = total(add_products(nothing, recurrent.weight, gradients, 0, units, n))
                dinputs, dbefore, dp = adjoint(gather(x, i), gather(kept.states, i), gather(neuron.params, n), f,
                                               gather_sum(kept.out.out, i, back, s), gather(dstate, s))
                scatter(dx, i, dinputs)
                scatter(dstate, s, dbefore)
                accumulate(sums, s, dp)
                memory[n] = dinputs[second]
            cuda.syncthreads()
            for n in range(thread, units, threads):
                i, s = row + n, b * units + n
                inputs, before, p = gather(x, i), gather(kept.states, i), gather(neuron.params, n)
                through = total(add_values(nothing, recurrent.second, memory, 0, units, n))
                recurrent.between[i] = between(inputs, before, p, f)
                dinputs, dbefore, dp = between_adjoint(inputs, before, p, f, through)
                accumulate(dx, i, dinputs)
                accumulate(dstate, s, dbefore)
                accumulate(sums, s, dp)
                accumulate(recurrent.bias, s, gather(dx, i))
                scatter(gradients, n, gather(dx, i))
            cuda.syncthreads()
        if length > 0:
            for n in range(thread, units, threads):
                back[recur][b * units + n] = total(add_products(nothing, recurrent.weight, gradients, 0, units, n))

    return forward, backward


__all__ = ["two_stage_kernels"]

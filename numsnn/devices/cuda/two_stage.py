"""Recurrent populations with two products a step on the GPU (a model's SECOND and `between`).

The second product takes what the first decided.  A block for each sample, as in recurrent.py, whose threads
meet twice a step:

    products of what recurs -> `between` | its product -> `step` |

What recurs lies in shared memory as values, spikes too.  The backward pass goes the same way back; what came
of `between` is computed anew there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import cuda

from ...neurons.activation import Activation
from ...neurons.model import Functions, Model
from ..access import accumulate, clear, gather, gather_sum, scatter
from ..jit import jitable
from .driver import Kernel
from .gated import add_values, captured, parts_of, sum_products, total


def two_stage_kernels(model: Model, spike: Callable, slope: Callable, activation: Activation, recur: str,
                      units: int, real: str) -> tuple[Kernel, Kernel]:
    """(forward, backward) of a recurrent population of so many units, called as those of recurrent.py."""
    what = model, spike, slope, activation, recur, units, real
    return _forward(*what), _backward(*what)


@lru_cache(None)
def _forward(model, spike, slope, activation, recur, units, real):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    step, between = jitable(model.step), jitable(model.between)
    recurs = model.Out._fields.index(recur)
    number = np.dtype(real).type

    @cuda.jit
    def forward(sizes, x, neuron, state, kept, last, recurrent, bits, bits_wanted, lengths):
        """bits: none."""
        f, batch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch
        recurring = cuda.shared.array(units, number)
        middle = cuda.shared.array(units, number)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length = lengths[b]
        for n in range(thread, units, threads):
            recurring[n] = last[b * units + n]
        cuda.syncthreads()
        for t in range(length):
            row = (t * batch + b) * units
            for n in range(thread, units, threads):
                given = gather_sum(x, row + n, recurrent.bias, n)
                current = add_values(given, recurrent.weight, recurring, 0, units, n)
                scatter(x, row + n, current)
                middle[n] = between(current, gather(state, b * units + n), gather(neuron.params, n), f)
            cuda.syncthreads()
            for n in range(thread, units, threads):
                i, s = row + n, b * units + n
                current = add_values(gather(x, i), recurrent.second, middle, 0, units, n)
                before = gather(state, s)
                out, after = step(current, before, gather(neuron.params, n), f)
                scatter(x, i, current)
                scatter(kept.states, i, before)
                scatter(kept.out, i, out)
                scatter(state, s, after)
                recurring[n] = out[recurs]
            cuda.syncthreads()
        for t in range(length, sizes.steps):
            for n in range(thread, units, threads):
                clear(kept.out, (t * batch + b) * units + n)
        for n in range(thread, units, threads):
            last[b * units + n] = recurring[n]

    return forward


@lru_cache(None)
def _backward(model, spike, slope, activation, recur, units, real):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    adjoint = jitable(model.step_adjoint)
    between, between_adjoint = jitable(model.between), jitable(model.between_adjoint)
    recurs, second = model.Out._fields.index(recur), model.Inputs._fields.index(model.second)
    number, zero, n_back = np.dtype(real).type, np.dtype(real).type(0), len(model.recurrent) * units
    nothing = model.Inputs(*(zero for _ in model.Inputs._fields))

    @cuda.jit
    def backward(sizes, x, neuron, kept, dstate, dx, sums, recurrent, lengths):
        f, batch, back = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, kept.out.back
        memory = cuda.shared.array(n_back, number)      # gradients of SECOND's current, then of the others
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
                    back[recurs][s] = sum_products(nothing, recurrent.weight, gradients, 0, units, n)
                inputs, before, p = gather(x, i), gather(kept.states, i), gather(neuron.params, n)
                dout, dafter = gather_sum(kept.out.out, i, back, s), gather(dstate, s)
                dinputs, dbefore, dp = adjoint(inputs, before, p, f, dout, dafter)
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
                back[recurs][b * units + n] = sum_products(nothing, recurrent.weight, gradients, 0, units, n)

    return backward


__all__ = ["two_stage_kernels"]

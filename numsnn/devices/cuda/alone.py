"""Populations without recurrence on the GPU: a thread for each neuron and sample.

Its state stays in registers over all steps.  Spikes leave as bits: the threads of a block set theirs by
atomic or, where their order cannot matter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import cuda

from ...neurons.activation import Activation
from ...neurons.model import Functions, Model
from ..access import accumulate, clear, gather, scatter
from ..jit import jitable
from .driver import Kernel
from .gated import U, captured


def alone_kernels(model: Model, spike: Callable, slope: Callable, activation: Activation, n_words: int,
                  bits_wanted: bool) -> tuple[Kernel, Kernel]:
    """(forward, backward) of neurons that do not see each other.  n_words: words of a block's threads."""
    what = model, spike, slope, activation
    return _forward(*what, n_words, bits_wanted), _backward(*what)


@lru_cache(None)
def _forward(model, spike, slope, activation, n_words, bits_wanted):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    step = jitable(model.step)

    @cuda.jit
    def forward(sizes, x, neuron, state, kept, bits, lengths):
        f, batch, units = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, sizes.units
        mask = cuda.shared.array(n_words, np.uint32)
        thread, b, all_words = cuda.threadIdx.x, cuda.blockIdx.y, (units + 31) // 32
        n, first = cuda.blockIdx.x * cuda.blockDim.x + thread, cuda.blockIdx.x * n_words
        inside, length = n < units, lengths[b]
        own = min(n, units - 1)
        i, pitch = U(b * units + own), U(batch * units)
        p, before = gather(neuron.params, U(own)), gather(state, i)
        for t in range(sizes.steps):
            if bits_wanted:
                if thread < n_words:
                    mask[thread] = 0
                cuda.syncthreads()
            if inside:
                if t < length:
                    given, after = step(gather(x, i), before, p, f)
                    scatter(kept.states, i, before)
                    scatter(kept.out, i, given)
                    if bits_wanted and given.spike > 0:
                        cuda.atomic.or_(mask, thread // 32, np.uint32(1) << np.uint32(thread % 32))
                    before = after
                else:
                    clear(kept.out, i)
            if bits_wanted:
                cuda.syncthreads()
                if thread < n_words and first + thread < all_words:
                    bits[U((t * batch + b) * all_words + first + thread)] = mask[thread]
            i += pitch
        if inside:
            scatter(state, U(b * units + n), before)

    return forward


@lru_cache(None)
def _backward(model, spike, slope, activation):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    adjoint = jitable(model.step_adjoint)

    @cuda.jit
    def backward(sizes, x, neuron, kept, dstate, dx, sums, lengths):
        f, pitch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch * sizes.units
        s = cuda.grid(1)
        if s < pitch:
            n, length, s = U(s % sizes.units), lengths[s // sizes.units], U(s)
            p, after = gather(neuron.params, n), gather(dstate, s)
            for ago in range(sizes.steps):
                t = sizes.steps - 1 - ago
                i = U(t * pitch) + s
                if t < length:
                    inputs, before, dout = gather(x, i), gather(kept.states, i), gather(kept.out, i)
                    dinputs, after, dp = adjoint(inputs, before, p, f, dout, after)
                    scatter(dx, i, dinputs)
                    accumulate(sums, s, dp)
                else:
                    clear(dx, i)
            scatter(dstate, s, after)

    return backward


__all__ = ["alone_kernels"]

"""`numsnn bench`: how long steps and updates take, how that grows, how far from the machine's limits it is.

Method.  Everything is float32 and seeded.  Networks are those of the recipes; the weights in front of each
population are scaled until it spikes at the rate that its case names.  What is compared takes turns, after
two rounds of warm-up, in one process; in its turn each runs for 30 ms and then once more, which counts,
because threads of other libraries spin on after a step.  Best and median are reported.

forward: `net.forward`, which keeps the tape; backward: `net.backward` with that tape; step: forward, loss,
backward and Adam's update, chunk by chunk as `fit` does it.  Peak memory: bytes of arrays on top of what was
there before.  Growth: a step at a quarter, half, all and twice the number of time steps T, samples B, units
N, and the rate, and the exponent k of time ~ size^k.  First call: a step in a new process with an empty cache
of compiled loops, and again with the cache that it left.

Limits.  Peak: a large matrix product, copy: a large copy, both measured in the same run with the same
threads.  `of peak`: operations that cannot be avoided (see cases.operations; elementwise work is not counted)
over time and peak; `of copy`: bytes that must be moved over time and copy bandwidth.

On a GPU (--device cuda) a run ends when the GPU has done it; what comes and goes in the cases lif and
dense-lif stays there.  The product is our own kernel's.  `in kernels`: the sum of the times of the step's
kernels, from events around each, over the time of the step.

Peers.  --peers FILE names a Python file with PEERS = {name: function}; function(case, problem) gives a step
of the same network, with the same weights, input and loss, that returns (loss, gradients by our names), or
None.  First both must agree.  OTHERS, likewise, holds steps of networks of the same size whose neurons are
others: their time is told; a step beside parts without a step of their own is compared with their sum.
"""

from .cases import CASES, Case, Driven, Problem, Size, parts
from .measure import Machine, Part, Times, exponent, interleaved, machine, peak_memory
from .run import bench, on_device

__all__ = ["CASES", "Case", "Driven", "Machine", "Part", "Problem", "Size", "Times",
           "bench", "exponent", "interleaved", "machine", "on_device", "parts", "peak_memory"]

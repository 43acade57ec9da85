"""Operations and energy of an inference: counted from the activity of a run, and by formula for others.

    counted = ns.energy.operations(net, x)              # what this network did with this batch
    counted.per_step.energy(ns.energy.FP32)             # pJ per time step of a sample
    ns.energy.formula("LSTM", 4, 36).count              # what an LSTM does in a time step
    print(ns.energy.table(net, test, constants="int32"))

What is counted (the accounting of Yin, Corradi, Bohte 2020 and 2021):

    mac          multiplication and addition at a synapse whose input is a real number, in every step
    ac           addition at a synapse whose input is a spike, when there is one (a synaptic operation,
                 SynOp); k spikes at once are k
    update_mac   leak and integration of a neuron: one for each variable that it carries from step to step
    update_ac    what a spike changes in its own neuron (reset, adaptation): one for each of these variables
    compare      comparisons with a threshold, or within a maximum

A synapse counts where it ends: a convolution's kernel does not reach beyond the edges of the output, and what
it reads beyond the edges of the input is nothing.  Padded steps do not count.  The state before the first
step is silent: the spikes of the last step recur nowhere.  An ALIF neuron with beta = 0 is counted as the LIF
neuron that it is.  Gated units take the multiples of MAC in `GATED`.

Free are: biases (where an accumulator starts), comparisons (they are counted, the papers give them no
energy), moving values and spikes about (From, Concatenate, Repeat, Flatten ..., Dropout in inference), and
sums and means of spikes in pools, PoolTime and Add: the spikes go on as they are, a factor such as 1/4 being
part of the weights after it.  An Embedding reads a row: only further tokens in the same step are added.
Arrays of floats are real numbers even where they hold zeros and ones; Spikes, integers and booleans are
spikes.  A spike of -1 is one, too.
"""

from .comparison import Peer, Row, Table, peers, table
from .count import FP32, INT32, PRESETS, Constants, Count, preset
from .formulas import FORMULAS, Formula, formula
from .kinds import KINDS, Kind
from .run import Operations, operations

__all__ = ["FORMULAS", "FP32", "INT32", "KINDS", "PRESETS", "Constants", "Count", "Formula", "Kind",
           "Operations", "Peer", "Row", "Table", "formula", "operations", "peers", "preset", "table"]

"""The forward and backward pass of a few samples through the components of a stage.

What the layers hand out lies in a dict by layer name.  Each value is given to its last taker itself, to the
others as a copy, because a layer may overwrite what it gets; gradients that come back from several takers are
added in the reverse order of the list.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..layers.joins import INPUT
from ..layers.layer import Context
from ..ranks import ALONE, Ranks
from ..signals.spikes import Spikes
from . import lockstep
from .chunks import handed
from .graph import Graph, Stage


class Setting(NamedTuple):
    """What a pass needs to know, the same for all components."""
    graph: Graph
    prepared: dict              # by layer: what depends on parameters only
    loops: Any
    dtype: np.dtype
    lengths: np.ndarray | None  # of these samples, in steps of the network's input
    tape: bool
    record: dict                # layer -> fields
    want_dx: bool = False       # backward: the gradient of the network's input too
    into: np.ndarray | None = None  # where a layer alone in its stage may put what it hands out; backward: dx
    ranks: Ranks = ALONE        # who else works on the batch

    def context(self, name: str, step: int | None = None) -> Context:
        """The context of a layer: for a whole sequence, or for one step of it."""
        node, lengths = self.graph.nodes[name], self.lengths
        if lengths is not None:
            lengths = node.steps(lengths)
            if step is not None:
                lengths = np.clip(lengths - step, 0, 1)
        fields = tuple(f for f in self.record.get(name, ()) if f != "y")
        want_dx = self.want_dx or any(s != INPUT for s in node.sources)
        dense = name == self.graph.answer and name not in self.graph.taken
        return Context(self.loops, lengths, self.tape, fields, want_dx, dense, self.into, self.ranks)


class Forward(NamedTuple):
    """What came out of a stage."""
    values: dict        # name -> array or Spikes, of the stage's outputs
    state: dict
    tapes: dict
    seen: dict

    def see(self, name: str, y, seen: dict | None, setting: Setting) -> None:
        """Keep what is to be recorded of a layer."""
        if name in setting.record:
            self.seen[name] = dict(seen or {})
            if "y" in setting.record[name]:
                self.seen[name]["y"] = y.dense(setting.dtype) if isinstance(y, Spikes) else y.copy()


def forward(stage: Stage, given: dict, state: dict, setting: Setting) -> Forward:
    """given: name -> what the stage takes from before, which it may overwrite."""
    nodes, have, left = setting.graph.nodes, dict(given), dict(stage.uses)
    done = Forward({}, {}, {}, {})

    def take(source):
        left[source] -= 1
        if not left[source] and source not in stage.outputs:
            return have.pop(source)
        return lockstep.own(have[source])

    for component in stage.components:
        if component.cyclic:
            have.update(lockstep.forward(component, have, state, setting, done))
            continue
        name, = component.names
        layer = nodes[name].layer
        x = [take(s) for s in nodes[name].sources]
        result = layer.forward(x if layer.sources else x[0], state[name], setting.prepared[name],
                               setting.context(name))
        have[name] = handed(result.y, setting.dtype, setting.into)
        done.state[name], done.tapes[name] = result.state, result.tape
        done.see(name, have[name], result.seen, setting)
    for name in stage.outputs:
        done.values[name] = have[name]
    return done


def backward(stage: Stage, tapes: dict, dvalues: dict, dstate: dict, dhidden: dict, setting: Setting):
    """(gradients of what the stage takes from before, grads by parameter, dstate).

    dvalues: of the stage's outputs, as far as there are any.
    """
    nodes, back = setting.graph.nodes, dict(dvalues)
    grads: dict = {}
    before: dict = {}
    for component in reversed(stage.components):
        if component.cyclic:
            lockstep.backward(component, tapes, back, (dstate, dhidden), (grads, before), setting)
            continue
        name, = component.names
        gradients = nodes[name].layer.backward(tapes[name], back.pop(name), dstate[name], dhidden.get(name),
                                               setting.prepared[name], setting.context(name))
        before[name] = gradients.dstate
        grads |= {f"{name}.{key}": value for key, value in gradients.params.items()}
        lockstep.hand_back(nodes[name], gradients.dx, back, setting)
    return back, grads, before

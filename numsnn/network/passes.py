"""The forward and backward pass of a few samples through the components of a stage.

What the layers hand out lies in a dict by layer name.  Each value is given to its last taker itself, to the others as a copy, because a
layer may overwrite what it gets; gradients that come back from several takers are added in the reverse order of the list.
"""

from typing import Any, NamedTuple

import numpy as np

from ..layers import by_step
from ..layers.joins import INPUT
from ..layers.layer import Context, size
from ..signals.spikes import Spikes
from .chunks import in_time
from .graph import Component, Graph, Stage


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
    into: np.ndarray | None = None  # where a layer that is alone in its stage may put what it hands out; backward: dx

    def context(self, name, step=None):
        """The context of a layer: for a whole sequence, or for one step of it."""
        node, lengths = self.graph.nodes[name], self.lengths
        if lengths is not None:
            lengths = node.steps(lengths) if step is None else np.clip(node.steps(lengths) - step, 0, 1)
        return Context(self.loops, lengths, self.tape, tuple(f for f in self.record.get(name, ()) if f != "y"),
                       self.want_dx or any(s != INPUT for s in node.sources), name == self.graph.answer and name not in self.graph.taken,
                       self.into)


class Forward(NamedTuple):
    """What came out of a stage."""
    values: dict        # name -> array or Spikes, of the stage's outputs
    state: dict
    tapes: dict
    seen: dict


def forward(stage: Stage, given: dict, state: dict, setting: Setting) -> Forward:
    """given: name -> what the stage takes from before, which it may overwrite."""
    nodes, have, left = setting.graph.nodes, dict(given), dict(stage.uses)
    done = Forward({}, {}, {}, {})

    def take(source):
        left[source] -= 1
        if not left[source] and source not in stage.outputs:
            return have.pop(source)
        return _own(have[source])

    for component in stage.components:
        if component.cyclic:
            have.update(_lockstep(component, have, state, setting, done))
            continue
        name, = component.names
        x = [take(s) for s in nodes[name].sources]
        result = nodes[name].layer.forward(x if nodes[name].layer.sources else x[0], state[name], setting.prepared[name], setting.context(name))
        have[name] = result.y
        done.state[name], done.tapes[name] = result.state, result.tape
        _see(done, name, result.y, result.seen, setting)
    for name in stage.outputs:
        done.values[name] = have[name]
    return done


def _see(done, name, y, seen, setting):
    if name in setting.record:
        done.seen[name] = dict(seen or {})
        if "y" in setting.record[name]:
            done.seen[name]["y"] = y.dense(setting.dtype) if isinstance(y, Spikes) else y.copy()


def backward(stage: Stage, tapes: dict, dvalues: dict, dstate: dict, dhidden: dict, setting: Setting):
    """(gradients of what the stage takes from before, grads by parameter, dstate).  dvalues: of the stage's outputs, as far as there are any."""
    nodes, grads, before, back = setting.graph.nodes, {}, {}, dict(dvalues)
    for component in reversed(stage.components):
        if component.cyclic:
            _lockstep_backward(component, tapes, back, dstate, dhidden, grads, before, setting)
            continue
        name, = component.names
        gradients = nodes[name].layer.backward(tapes[name], back.pop(name), dstate[name], dhidden.get(name), setting.prepared[name], setting.context(name))
        before[name] = gradients.dstate
        grads |= {f"{name}.{key}": value for key, value in gradients.params.items()}
        _hand_back(nodes[name], gradients.dx, back, setting)
    return back, grads, before


def _hand_back(node, dx, back, setting):
    for source, d in zip(node.sources, dx if node.layer.sources else (dx,), strict=True):
        if d is not None and (source != INPUT or setting.want_dx):
            back[source] = back[source] + d if source in back else d


# ---- cycles: all layers one time step at a time


def _lockstep(component: Component, have, state, setting, done):
    """Run a cycle; what its layers hand out, by name."""
    nodes, inside = setting.graph.nodes, component.names
    outside = {s: have[s] for name in inside for s in nodes[name].sources if s not in inside}
    state, tapes, out, seen = {name: state[name] for name in inside}, [], {name: [] for name in inside}, []
    steps, batch = next(iter(outside.values())).shape[:2]
    for t in range(steps):
        now, kept = {}, {}
        for name in inside:
            layer = nodes[name].layer
            if layer.delayed:
                now[name] = state[name].last[None]
                _see(done, name, now[name], None, setting)
                continue
            x = [_own(now[s] if s in now else outside[s][t:t + 1]) for s in nodes[name].sources]
            result = layer.forward(x if layer.sources else x[0], state[name], setting.prepared[name], setting.context(name, t))
            now[name], state[name], kept[name] = result.y, result.state, result.tape
            _see(done, name, result.y, result.seen, setting)
        for name in inside:
            if nodes[name].layer.delayed:
                state[name] = nodes[name].layer.forward([now[nodes[name].sources[0]]], state[name], None, setting.context(name, t)).state
            out[name].append(now[name])
        tapes.append(kept)
        seen.append({name: done.seen.pop(name, {}) for name in inside})
    done.state.update(state)
    done.tapes[inside] = tapes
    done.seen.update({name: by_step.together([step[name] for step in seen], setting.context(name)) for name in inside if name in setting.record})
    return {name: in_time(parts) if parts else np.zeros((0, batch, nodes[name].layer.size_out), setting.dtype) for name, parts in out.items()}


def _own(x):
    return x if isinstance(x, Spikes) else x.copy()


def _lockstep_backward(component, tapes, back, dstate, dhidden, grads, before, setting):
    """Run a cycle backwards: takes the gradients of its layers' outputs out of `back` and puts in those of what it took from outside."""
    nodes, inside = setting.graph.nodes, component.names
    delayed = [name for name in inside if nodes[name].layer.delayed]
    arrived = {name: back.pop(name) for name in inside if name in back}
    dstate, steps = {name: dstate[name] for name in inside}, len(tapes[inside])
    hidden = {name: by_step.hidden(dhidden.get(name), setting.context(name), steps) for name in inside}
    outside = {s: [] for name in inside for s in nodes[name].sources if s not in inside and (s != INPUT or setting.want_dx)}
    for name in inside:
        grads |= {f"{name}.{key}": np.zeros_like(p) for key, p in nodes[name].layer.params.items()}
    for t in reversed(range(steps)):
        now = {name: d[t:t + 1] for name, d in arrived.items()}
        for name in delayed:                    # what it keeps of step t is what its source handed out there
            source, valid = nodes[name].sources[0], 1 if setting.lengths is None else setting.context(name, t).lengths[:, None]
            d = (dstate[name].last * valid)[None]
            now[source] = now[source] + d if source in now else d
        for name in reversed(inside):
            node = nodes[name]
            if node.layer.delayed:
                continue
            gradients = node.layer.backward(tapes[inside][t][name], np.ascontiguousarray(now[name]), dstate[name], hidden[name][t], setting.prepared[name],
                                            setting.context(name, t))
            dstate[name] = gradients.dstate
            by_step.add_to(grads, {f"{name}.{key}": value for key, value in gradients.params.items()})
            _hand_back(node, gradients.dx, now, setting)
        for name in delayed:                    # what it handed out in step t is what it kept of step t - 1
            valid = 1 if setting.lengths is None else setting.context(name, t).lengths[:, None]
            d = dstate[name].last * (1 - valid)
            dstate[name] = type(dstate[name])(d + now[name][0] if name in now else d)
        for source, d in now.items():
            if source not in inside:
                outside[source].append(d)
    before.update(dstate)
    for source, parts in outside.items():
        empty = np.zeros((0, len(dstate[delayed[0]].last), nodes[source].layer.size_out if source in nodes else size(setting.graph.input_shape)), setting.dtype)
        d = np.concatenate(parts[::-1] or [empty])
        back[source] = back[source] + d if source in back else d


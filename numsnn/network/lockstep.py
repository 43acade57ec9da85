"""The forward and backward pass of the layers of a cycle: all of them one time step at a time."""

from __future__ import annotations

from itertools import chain

from ..devices import buffers
from ..layers import by_step
from ..layers.joins import INPUT
from ..layers.layer import size
from ..signals.spikes import Spikes
from .chunks import handed
from .graph import Component


def forward(component: Component, have: dict, state: dict, setting, done) -> dict:
    """Run a cycle; what its layers hand out to others, by name.

    have: what layers before it hand out.  setting, done: of passes.py; done takes states, tapes and what is
    recorded.
    """
    nodes, inside = setting.graph.nodes, component.names
    outside = {s: have[s] for name in inside for s in _from_outside(nodes[name], inside)}
    loops = setting.loops
    state = {name: _begun(nodes[name].layer, state[name], loops) for name in inside}
    others = [node.sources for name, node in nodes.items() if name not in inside]
    taken = set(chain.from_iterable(others))
    out: dict = {name: [] for name in inside if name in taken or name == setting.graph.answer}
    tapes, seen = [], []
    steps, batch = next(iter(outside.values())).shape[:2]
    for t in range(steps):
        now, kept = _step(component, t, outside, state, setting, done)
        for name, parts in out.items():
            parts.append(now[name])
        tapes.append(kept)
        seen.append({name: done.seen.pop(name, {}) for name in inside})
    done.state.update(state)
    done.tapes[inside] = tapes
    for name in inside:
        if name in setting.record:
            done.seen[name] = by_step.together([step[name] for step in seen], setting.context(name))

    def nothing(name):
        return loops.zeros((0, batch, nodes[name].layer.size_out), setting.dtype)

    return {name: loops.joined(parts) if parts else nothing(name) for name, parts in out.items()}


def _begun(layer, state, loops):
    """The state of a layer before the first step, in which a `Previous` hands out its own: others may
    overwrite that."""
    return type(state)(*(own(loops.put(a)) for a in state)) if layer.delayed else state


def _step(component, t, outside, state, setting, done):
    """(what the layers hand out in step t, their tapes); `state` goes on."""
    nodes, now, kept = setting.graph.nodes, {}, {}
    for name in component.names:
        layer = nodes[name].layer
        if layer.delayed:
            now[name] = _as_a_step(state[name].last)
            done.see(name, now[name], None, setting)
            continue
        x = [own(now[s] if s in now else outside[s][t:t + 1]) for s in nodes[name].sources]
        result = layer.forward(x if layer.sources else x[0], state[name], setting.prepared[name],
                               setting.context(name, t))
        now[name], state[name], kept[name] = handed(result.y, setting.dtype), result.state, result.tape
        done.see(name, now[name], result.seen, setting)
    for name in component.names:
        layer = nodes[name].layer
        if layer.delayed:
            source = nodes[name].sources[0]
            state[name] = layer.forward([now[source]], state[name], None, setting.context(name, t)).state
    return now, kept


def _as_a_step(a):
    """(B, N) as a sequence of one step."""
    return a.reshape(1, *a.shape)


def backward(component: Component, tapes: dict, back: dict, incoming: tuple, results: tuple, setting) -> None:
    """Run a cycle backwards.

    back: gradients of what its layers hand out are taken out of it, those of what it took from outside are
    put in.  incoming: (dstate, dhidden) by layer.  results: (grads, dstate before the first step), which it
    fills.
    """
    nodes, inside, loops = setting.graph.nodes, component.names, setting.loops
    dstate, dhidden = incoming
    grads, before = results
    steps = len(tapes[inside])
    arrived = {name: loops.put(back.pop(name)) for name in inside if name in back}
    dstate = {name: dstate[name] for name in inside}
    hidden = {name: by_step.hidden(dhidden.get(name), setting.context(name), steps) for name in inside}
    taken = [s for name in inside for s in _from_outside(nodes[name], inside)]
    outside: dict = {s: [] for s in taken if s != INPUT or setting.want_dx}
    for name in inside:
        nothing = by_step.no_gradients(nodes[name].layer, loops)
        grads |= {f"{name}.{key}": g for key, g in nothing.items()}
    for t in reversed(range(steps)):
        now = {name: d[t:t + 1] for name, d in arrived.items()}
        _step_backward(component, t, (tapes[inside][t], hidden), now, dstate, grads, setting)
        for source, d in now.items():
            if source not in inside:
                outside[source].append(d)
    before.update(dstate)
    for source, parts in outside.items():
        d = loops.joined(parts[::-1] or [_no_steps(component, source, dstate, setting)])
        back[source] = back[source] + d if source in back else d


def _step_backward(component, t, kept, now, dstate, grads, setting):
    """Step t backwards: `now`, the gradients of what is handed out in it, `dstate` and `grads` go on."""
    nodes, (tapes, hidden) = setting.graph.nodes, kept
    delayed = [name for name in component.names if nodes[name].layer.delayed]
    for name in delayed:                    # what it keeps of step t is what its source handed out there
        source, last = nodes[name].sources[0], dstate[name].last
        # of samples that have ended it is what it kept before
        d = last.copy() if setting.lengths is None else setting.loops.times(last, _valid(setting, name, t))
        d = _as_a_step(d)
        now[source] = now[source] + d if source in now else d
    for name in reversed(component.names):
        node = nodes[name]
        if node.layer.delayed:
            continue
        dy = buffers.contiguous(now[name])
        gradients = node.layer.backward(tapes[name], dy, dstate[name], hidden[name][t],
                                        setting.prepared[name], setting.context(name, t))
        dstate[name] = gradients.dstate
        by_step.add_to(grads, {f"{name}.{key}": value for key, value in gradients.params.items()})
        hand_back(node, gradients.dx, now, setting)
    for name in delayed:                    # what it handed out in step t is what it kept of step t - 1
        last = dstate[name].last
        d = now[name].reshape(last.shape)
        if setting.lengths is not None:
            d = setting.loops.times(last, 1 - _valid(setting, name, t)) + d
        dstate[name] = type(dstate[name])(d)


def _valid(setting, name, t):
    """(B, 1): 1 for samples that step t belongs to, 0 for those that have ended."""
    return setting.context(name, t).lengths[:, None]


def _no_steps(component, source, dstate, setting):
    """The gradient of a sequence without steps."""
    nodes = setting.graph.nodes
    delayed = next(name for name in component.names if nodes[name].layer.delayed)
    features = nodes[source].layer.size_out if source in nodes else size(setting.graph.input_shape)
    return setting.loops.zeros((0, len(dstate[delayed].last), features), setting.dtype)


def _from_outside(node, inside):
    return [s for s in node.sources if s not in inside]


def own(x):
    """What a layer may overwrite: a copy; Spikes never change."""
    return x if isinstance(x, Spikes) else x.copy()


def hand_back(node, dx, back: dict, setting) -> None:
    """Add the gradients of what a layer took to those of its sources."""
    for source, d in zip(node.sources, dx if node.layer.sources else (dx,), strict=True):
        if d is not None and (source != INPUT or setting.want_dx):
            total = back[source] + d if source in back else d
            back[source] = handed(total, setting.dtype, setting.into)

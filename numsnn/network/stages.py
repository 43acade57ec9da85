"""A batch through the whole network and back: stage by stage, within a stage chunk by chunk."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np

from ..devices import threads
from ..layers.joins import INPUT
from ..layers.layer import Context, size
from ..ranks import ALONE
from ..signals.spikes import Spikes
from . import chunking, passes
from .chunking import Share
from .chunks import join, join_states, part, place, rows, samples, total, zeros
from .tape import Tape

BACKWARD = 100      # work of an update in a backward pass, at least: its threads always pay


def forward(net, x, state: dict, lengths, record: dict, keep: bool, share: Share | None = None):
    """(y, state, tape or None, seen).  record: layer -> fields.  keep: make a tape, as training does.

    share: what x is of a batch on which several ranks work.
    """
    prepared = prepare(net)
    values = {INPUT: x}
    after: dict = {}
    seen: dict = {}
    kept = []
    for stage in net.graph.stages(keep):
        bounds = chunking.bounds(net, x.shape[1], stage) if share is None else share.bounds(stage)
        given = (prepared, lengths, record, keep, ALONE if share is None else share.ranks)
        parts, whole = _stage_forward(net, stage, bounds, values, state, given)
        kept.append((bounds, [p.tapes for p in parts]))
        values |= {name: join([p.values[name] for p in parts], whole) for name in stage.outputs}
        after |= {name: join_states([p.state[name] for p in parts]) for name in parts[0].state}
        seen |= {name: _joined_seen([p.seen[name] for p in parts]) for name in parts[0].seen}
    y = answer(net, values)
    tape = None
    if keep:
        tape = Tape(kept, prepared, lengths, x.shape[1], y.shape, x.shape[0], net.graph)
    return y, {name: after[name] for name in net.layers}, tape, seen


def _stage_forward(net, stage, bounds, values, state, given):
    """(Forward of each chunk, where those of a stage of one layer lie together or None)."""
    prepared, lengths, record, keep, ranks = given
    x = values[INPUT]
    parts = [None] * len(bounds)
    whole = None
    if stage.alone:
        whole = _together(net, values[stage.inputs[0]].shape, stage.components[0].names[0], len(bounds))

    def task(c):
        first, last = bounds[c]
        mine = {name: samples(values[name], first, last, name in stage.borrowed) for name in stage.inputs}
        into = None if whole is None else whole[:, first:last]
        how = setting(net, prepared, part_of(lengths, first, last), keep, record, into=into, ranks=ranks)
        parts[c] = passes.forward(stage, mine, rows_of(state, first, last), how)

    uses_blas = any(net.layers[name].uses_blas for component in stage.components for name in component.names)
    with net.loops.one_thread() if uses_blas else nullcontext():
        threads.run(task, len(bounds), chunking.work(net, *x.shape[:2]))
    return parts, whole


def _joined_seen(parts):
    """What the chunks recorded of one layer, side by side."""
    joined = {}
    for field in parts[0]:
        arrays = [p[field] for p in parts]
        joined[field] = np.concatenate(arrays, 0) if field == "rate" else join(arrays)
    return joined


def backward(net, tape: Tape, dy, dstate: dict, dhidden: dict, want_dx: bool, share: Share | None = None):
    """(grads, dstate, dx or None); share: see forward, gradients are then of all ranks."""
    back = {net.graph.answer: dy}
    grads: dict = {}
    of_chunks: list[dict] = [{} for _ in share.own] if share is not None else []
    before: dict = {}
    steps = dy.shape[0] if dy.ndim == 3 else 1
    work = chunking.work(net, steps, tape.batch) * BACKWARD
    stages = zip(net.graph.stages(True), tape.stages, strict=True)
    for stage, (bounds, tapes) in reversed(list(stages)):
        given = (tape, dstate, dhidden, want_dx, ALONE if share is None else share.ranks)
        parts, whole = _stage_backward(net, stage, (bounds, tapes, work), back, given)
        for name in stage.outputs:
            back.pop(name, None)
        for name in parts[0][0]:
            d = join([dvalues[name] for dvalues, _, _ in parts], whole)
            back[name] = back[name] + d if name in back else d
        if share is None or stage.whole:
            grads |= summed([dparams for _, dparams, _ in parts])
        else:
            for mine, (_, dparams, _) in zip(of_chunks, parts[:len(of_chunks)], strict=True):
                mine |= dparams
        before |= {name: join_states([states[name] for _, _, states in parts]) for name in parts[0][2]}
    if share is not None:
        others = {name: p for name, p in net.params.items() if name not in grads}
        grads |= share.ranks.gradients(share.chunks, of_chunks, [0.0] * len(of_chunks), others)[1]
    grads = {name: grads[name] for name in net.params}
    return grads, {name: before[name] for name in net.layers}, back.get(INPUT)


def _stage_backward(net, stage, cut, back, given):
    """(results of passes.backward of each chunk, where dx of a stage of one layer lies together or None)."""
    bounds, tapes, work = cut
    tape, dstate, dhidden, want_dx, ranks = given
    parts = [None] * len(bounds)
    views = stage.alone and len(bounds) > 1
    taken = want_dx or stage.inputs[0] != INPUT
    known = {name: s for name, s in dstate.items() if s is not None}
    whole = None
    if stage.alone and taken:
        whole = _together(net, back[stage.outputs[0]].shape, stage.inputs[0], len(bounds))

    def task(c):
        first, last = bounds[c]
        dvalues = {name: back[name][:, first:last] if views else part(back[name], first, last)
                   for name in stage.outputs if name in back}
        mine = no_gradient(net, last - first) | rows_of(known, first, last)
        hidden = {name: {field: _hidden_part(net, field, a, first, last) for field, a in fields.items()}
                  for name, fields in dhidden.items()}
        into = None if whole is None else whole[:, first:last]
        lengths = part_of(tape.lengths, first, last)
        how = setting(net, tape.prepared, lengths, True, want_dx=want_dx, into=into, ranks=ranks)
        parts[c] = passes.backward(stage, tapes[c], dvalues, mine, hidden, how)

    with net.loops.one_thread():
        threads.run(task, len(bounds), work)
    return parts, whole


def _hidden_part(net, field, gradient, first, last):
    """The samples of a gradient of what a layer hands out: a rate (B, N), anything else (T, B, N)."""
    mine = gradient[first:last] if field == "rate" else gradient[:, first:last]
    return np.ascontiguousarray(mine, net.dtype)


def _together(net, shape, name, n_chunks):
    """Where the chunks of a stage of one layer put what is of the size of `name`.

    shape: of a sequence on its other side.
    """
    own = net.graph.shape(name)
    features = shape[2] if own is None else size(own)
    return place((*shape[:2], features), net.dtype, n_chunks)


# ---- what passes of all kinds need


def prepare(net) -> dict:
    """What depends on parameters only, by layer."""
    context = Context(net.loops, None)
    return {name: layer.prepare(context) for name, layer in net.layers.items()}


def setting(net, prepared, lengths, tape, record=None, want_dx=False, into=None,
            ranks=ALONE) -> passes.Setting:
    """What a pass of a chunk needs to know; lengths: of its samples."""
    return passes.Setting(net.graph, prepared, net.loops, net.dtype, lengths, tape, record or {},
                          want_dx, into, ranks)


def part_of(lengths, first, last):
    """The lengths of a chunk."""
    return None if lengths is None else lengths[first:last]


def rows_of(state: dict, first, last) -> dict:
    """The state of a chunk."""
    return {name: rows(s, first, last) for name, s in state.items()}


def no_gradient(net, batch: int) -> dict:
    """A gradient of zero of every state."""
    return {name: zeros(layer.initial_state(batch), net.loops.zeros) for name, layer in net.layers.items()}


def summed(parts) -> dict:
    """The gradients of all chunks, added in their order."""
    return {name: total([p[name] for p in parts]) for name in parts[0]}


def answer(net, values):
    """What the last layer hands out, as an array."""
    y = values[net.graph.answer]
    return y.dense(net.dtype) if isinstance(y, Spikes) else y

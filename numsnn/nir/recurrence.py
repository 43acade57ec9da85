"""Cycles of a flat graph: those that are the recurrence of one population, and all others.

A cycle within one step has no order, so that something arrives one step later.  Where a population leads
through matrices, or directly, to itself and to nothing else, that is what our populations do:
I_t = x_t + recurrent_bias + y_{t-1} recurrent.  In every other cycle the edge that leads back to where the
cycle was entered carries what was handed out one step before.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .flatten import Flat
from .nodes import MATRICES, POPULATIONS

Edge = tuple[str, str]


class Order(NamedTuple):
    """names: each after what it takes.  back: the edges that lead backwards in this order."""
    names: list[str]
    back: set[Edge]


def recurrences(graph: Flat) -> tuple[Flat, dict[str, list[str]]]:
    """(the graph without them, population -> the matrices that lead from it to itself only).

    A population that leads to itself directly has itself in its list.
    """
    sources, targets = sides(graph)
    found: dict[str, list[str]] = {}
    matrices = set(graph.of_type(*MATRICES))
    for name in graph.of_type(*POPULATIONS):
        around = [m for m in matrices.intersection(targets[name]) if sources[m] == targets[m] == [name]]
        direct = [name] if name in targets[name] else []
        if around or direct:
            found[name] = direct + sorted(around, key=natural)
    gone = {m for loops in found.values() for m in loops} - found.keys()
    nodes = {name: node for name, node in graph.nodes.items() if name not in gone}
    edges = [(a, b) for a, b in graph.edges if not {a, b} & gone and not (a == b and a in found)]
    return Flat(nodes, edges), found


def order(graph: Flat, first: str) -> Order:
    """An order in which the nodes that `first` leads to can run, the same for edges in any order."""
    targets = {name: sorted(set(found), key=natural, reverse=True) for name, found in sides(graph)[1].items()}
    is_done = {first: False}
    done: list[str] = []
    back: set[Edge] = set()
    waiting = [(first, iter(targets[first]))]
    while waiting:
        name, left = waiting[-1]
        target = next(left, None)
        if target is None:
            waiting.pop()
            is_done[name] = True
            done.append(name)
        elif target not in is_done:
            is_done[target] = False
            waiting.append((target, iter(targets[target])))
        elif not is_done[target]:
            back.add((name, target))
    return Order(done[::-1], back)


def leading_to(graph: Flat, last: str) -> set[str]:
    """The nodes from which something arrives at a node, through others too; itself included."""
    sources = sides(graph)[0]
    found, waiting = {last}, [last]
    while waiting:
        new = set(sources[waiting.pop()]) - found
        found |= new
        waiting += new
    return found


def natural(name: str) -> list:
    """A key by which names sort as people count: lif2 before lif10."""
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    return [(len(part.lstrip("0")), part) if part.isdecimal() else (-1, part) for part in parts]


def sides(graph: Flat) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """(node -> what leads to it, node -> what it leads to)."""
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        sources[b].append(a)
        targets[a].append(b)
    return sources, targets

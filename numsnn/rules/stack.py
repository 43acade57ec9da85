"""The networks that rules without a tape can serve, as columns: a Dense layer and the population after it."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from ..layers import Dense, Layer, OverTime, Population
from ..layers.joins import INPUT
from ..network.network import Network

INSTEAD = 'fit(..., rule="bptt"), or Network.loss_and_gradients by hand, serves it'


class Place(NamedTuple):
    """The names of the layers of a column; dense None: the population takes what comes as it is."""
    dense: str | None
    population: str


def places(net: Network, rule: str) -> tuple[list[Place], OverTime | None]:
    """(columns, the answer over time or None); ValueError that names the layer the rule cannot serve."""
    if not hasattr(net.loops, "eligibility_step"):
        raise ValueError(f'{rule} has no loops on device "{net.device}"; train a copy on another one, '
                         f'net.to("cpu"), or use BPTT: {INSTEAD}')
    for name, layer in net.layers.items():
        if layer.whole_batch:
            _refuse(rule, name, layer, "looks at all samples of a batch, and at all their steps")
        if not layer.causal:
            _refuse(rule, name, layer, "needs the whole sequence")
    found: list[Place] = []
    dense, before, over = None, INPUT, None
    for name, layer in net.layers.items():
        why = _why_not(net, name, layer, before, dense)
        if over is not None:
            why = "comes after OverTime, which is the answer"
        if why:
            _refuse(rule, name, layer, why)
        if type(layer).forward is Dense.forward:
            dense = name
        elif isinstance(layer, OverTime):
            over = layer
        else:
            found.append(Place(dense, name))
            dense = None
        before = name
    if dense is not None:
        _refuse(rule, dense, net.layers[dense], "has no population after it: end with one that integrates, "
                                                "such as ns.LI(n)")
    if not found:
        raise ValueError(f"{rule}: the network has no population that could have traces; {INSTEAD}")
    return found, over


def _why_not(net, name, layer, before, dense) -> str:
    """Why a layer cannot be a part of a column; "" where it can."""
    if net.graph.nodes[name].sources != (before,):
        return "does not take what the layer before it hands out, or not only that"
    if isinstance(layer, OverTime):
        return "stands behind a Dense layer, which has no traces; put ns.LI(n) between them" if dense else ""
    if type(layer).forward is Dense.forward:
        return "follows another Dense layer without a population between them" if dense else ""
    if not isinstance(layer, Population) or type(layer).forward is not Population.forward:
        return "has no traces: they are kept of Dense layers and of populations"
    if layer.delays:
        return "has delays in its recurrence, for which there are no traces"
    return "has two products in a step, one inside the other" if layer.dynamics().in_two_stages else ""


def _refuse(rule: str, name: str, layer: Layer, why: str) -> NoReturn:
    raise ValueError(f"{rule} cannot serve layer {name}, {layer.describe()}: it {why}; {INSTEAD}")

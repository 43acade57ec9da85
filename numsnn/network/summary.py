"""The table that `Network.summary` prints."""

from __future__ import annotations

from typing import Any

HEAD = ("layer", "", "output", "parameters")
RATES = ("rate", "dead", "saturated")
LEFT = 3            # columns of text
WEIGHTS = ("weight", "bias", "gain", "scale", "recurrent", "recurrent_bias")


def summary(net, seen: dict | None = None) -> str:
    """Layers, sizes, parameters.

    seen: recorded rates, for the mean rate of each layer and its neurons that never or always spike.
    """
    if not all(isinstance(fields, dict) for fields in (seen or {}).values()):
        raise ValueError('summary: seen must be what run(..., record="rate") recorded, '
                         "{layer: {field: array}}")
    table = [[*HEAD, *(RATES if seen else ())]]
    facts = activity(seen or {})
    for name, layer in net.layers.items():
        row = _row(name, layer)
        if seen:
            row += _rates(facts.get(name))
        table.append(row)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(row, widths) for row in table]
    lines.insert(1, "-" * max(map(len, lines)))
    lines.append(_parameters(net))
    lines += _bounds(net)
    lines += [f"{name}: {layer.remark()}" for name, layer in net.layers.items() if layer.remark()]
    return "\n".join(lines)


def _bounds(net):
    """Where learned settings lie."""
    found = [f"{name}.{said}" for name, layer in net.layers.items() for said in layer.learned_within()]
    return ["bounds: " + ", ".join(found)] if found else []


def _row(name, layer):
    out = "?" if layer.shape_out is None else ", ".join(map(str, layer.shape_out))
    shape = f"(T, B, {out})" if layer.answers_each_step else f"(B, {out})"
    return [name, layer.describe(), shape, f"{sum(p.size for p in layer.params.values()):,}"]


def _rates(fact):
    if fact is None:
        return ["", "", ""]
    return [f"{fact['rate']:.4f}", str(fact["dead"]), str(fact["saturated"])]


def _line(row, widths):
    cells = [cell.ljust(width) if i < LEFT else cell.rjust(width)
             for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()


def _parameters(net):
    weights = sum(p.size for name, p in net.params.items() if name.rpartition(".")[2] in WEIGHTS)
    delays = sum(p.size for name, p in net.params.items() if name.endswith(".delay"))
    rest = net.n_params - weights - delays
    of_delays = f", {delays:,} delays" if delays else ""
    of_neurons = f", {rest:,} of neurons (time constants, thresholds ...)" if rest else ""
    return f"{net.n_params:,} parameters: {weights:,} weights and biases{of_delays}{of_neurons}"


def activity(seen: dict) -> dict[str, dict[str, Any]]:
    """{layer: {"rate", "dead", "saturated"}} of what run(..., record="rate") recorded.

    They are the mean number of spikes per neuron and step, neurons that never spiked, and neurons that spiked
    in every step.
    """
    found = {}
    for name, fields in seen.items():
        if "rate" in fields:
            rate = fields["rate"]
            found[name] = {"rate": float(rate.mean()), "dead": int((rate.max(0) == 0).sum()),
                           "saturated": int((rate.min(0) >= 1).sum())}
    return found

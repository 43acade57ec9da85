"""The table that `Network.summary` prints."""

def summary(net, seen: dict | None = None) -> str:
    """Layers, sizes, parameters; with recorded rates also the mean rate and the neurons that never or always spike."""
    head = ["layer", "", "output", "parameters"] + (["rate", "dead", "saturated"] if seen else [])
    table, facts = [head], activity(seen or {})
    for name, layer in net.layers.items():
        out = "?" if layer.shape_out is None else ", ".join(map(str, layer.shape_out))
        row = [name, layer.describe(), f"(T, B, {out})" if layer.answers_each_step else f"(B, {out})", f"{sum(p.size for p in layer.params.values()):,}"]
        if seen:
            fact = facts.get(name)
            row += ["", "", ""] if fact is None else [f"{fact['rate']:.4f}", str(fact["dead"]), str(fact["saturated"])]
        table.append(row)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip()
             for row in table]
    lines.insert(1, "-" * max(map(len, lines)))
    weights = sum(p.size for name, p in net.params.items() if name.rpartition(".")[2] in
                  ("weight", "bias", "gain", "recurrent", "recurrent_bias"))
    rest = net.n_params - weights
    lines.append(f"{net.n_params:,} parameters: {weights:,} weights and biases"
                 + (f", {rest:,} of neurons (time constants, thresholds ...)" if rest else ""))
    return "\n".join(lines)


def activity(seen: dict) -> dict:
    """{layer: {"rate", "dead", "saturated"}} of what run(..., record="rate") recorded: the mean number of spikes per neuron and step,
    neurons that never spiked, neurons that spiked in every step."""
    return {name: {"rate": float(fields["rate"].mean()), "dead": int((fields["rate"].max(0) == 0).sum()),
                   "saturated": int((fields["rate"].min(0) >= 1).sum())}
            for name, fields in seen.items() if "rate" in fields}

"""What an exported network costs: bytes, operations, saturations, and what it still agrees on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..formats.whole import write_text
from .c_code import WIDTH, CCode
from .c_integers import Integers
from .program import Array, Convolution, Lagged, Linear, Map, given
from .whole_run import IntegerRun


@dataclass
class OfLayer:
    """What a layer takes: bytes of constants and of state, operations of a step, its largest values."""
    name: str
    constants: int = 0
    state: int = 0
    additions: float = 0.0
    multiplications: float = 0.0
    saturated: float = 0.0          # share of what was stored
    largest: float = 0.0            # absolute value measured


@dataclass
class Report:
    """Of a network in whole numbers.

    constants: bytes of weights, coefficients, tables.  state: bytes that the caller owns, sizeof NAME_state.
    work: bytes of working space, on the stack where they are few.  agreement: share of decisions on the
    calibration data that are those of the network in floats.  accuracy, accuracy_float: on the calibration
    data, where they have labels.  table_error: largest error of a table of a function.
    """
    weights: int = 0
    states: int = 0
    constants: int = 0
    state: int = 0
    work: int = 0
    layers: list[OfLayer] = field(default_factory=list)
    agreement: float | None = None
    accuracy: float | None = None
    accuracy_float: float | None = None
    table_error: float = 0.0

    def as_json(self) -> str:
        """All of it as JSON."""
        return json.dumps({"about": "Written by numsnn", **asdict(self)}, indent=1) + "\n"

    def save(self, path: Path | str) -> None:
        """Write it as JSON."""
        write_text(path, self.as_json())

    def __str__(self) -> str:
        rows = [["layer", "constants", "state", "additions", "products", "saturated", "largest"]]
        rows += [[layer.name, f"{layer.constants:,}", f"{layer.state:,}", f"{layer.additions:,.0f}",
                  f"{layer.multiplications:,.0f}", f"{100 * layer.saturated:.3g} %", f"{layer.largest:.3g}"]
                 for layer in self.layers]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for name, *cells in rows:
            numbers = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
            lines.append("  ".join([name.ljust(widths[0]), *numbers]))
        lines.append(f"{self.weights}-bit weights, {self.states}-bit states: {self.constants:,} bytes of "
                     f"constants, {self.state:,} of state, {self.work:,} of working space")
        if self.agreement is not None:
            lines.append(f"{100 * self.agreement:.2f} % of the decisions on the calibration data are those "
                         f"of the network in floats")
        if self.accuracy is not None:
            lines.append(f"accuracy there {self.accuracy:.4f}, in floats {self.accuracy_float:.4f}")
        return "\n".join(lines)


def report(made: Any, measured: Any, x: np.ndarray, lengths: Any, labels: Any, mask: Any) -> Report:
    """The report of an IntegerNetwork on its calibration data."""
    integers, program = made.integers, made.integers.program
    code = CCode(program, "net", Integers(integers, "net"), False)
    found = Report(integers.bits, integers.states, state=code.state_bytes,
                   work=sum(n * WIDTH[kind] for kind, n in code.memory.sizes.items()),
                   table_error=max((table.error for table in integers.tables), default=0.0))
    run = _agreement(found, made, x, lengths, labels, mask)
    rows = {name: OfLayer(name) for name in dict.fromkeys(program.layer_of.values())}
    for operation, times in program.timed():
        row = rows[program.layer_of[operation]]
        _add_operations(row, operation, measured.active, times)
        for array in given(operation):
            row.largest = max(row.largest, measured.ranges.largest.get(array, 0.0))
            row.saturated = max(row.saturated, run.saturated.get(array, 0) / max(run.stores.get(array, 1), 1))
    for array, layer in _owners(program):
        width = 0 if array.kind == "work" else _bytes(integers, array)
        if array.kind in ("constant", "place"):
            rows[layer].constants += width
        elif array.kind in ("state", "count"):
            rows[layer].state += width
    found.layers = list(rows.values())
    found.constants = sum(row.constants for row in found.layers) + \
        sum(2 * len(table.values) for table in integers.tables)
    return found


def _agreement(found, made, x, lengths, labels, mask):
    """Decisions of both networks; the run in whole numbers, with its saturations."""
    reference = made.net.clone(device="reference")
    tokens = next(iter(made.net.layers.values())).reads_tokens
    given_x = x[:, :, 0].astype(int) if tokens else x.reshape(*x.shape[:2], *made.net.input_shape)
    y, _ = reference.run(given_x, lengths=lengths)
    run = IntegerRun(made.integers, x.shape[1])
    q = made._through(run, x, lengths)
    mine, theirs = q.argmax(-1), y.argmax(-1)
    counted = np.ones(mine.shape, bool) if mask is None else np.array(mask, bool)
    if lengths is not None and mine.shape == x.shape[:2]:
        counted &= np.arange(len(x))[:, None] < lengths
    found.agreement = float((mine == theirs)[counted].mean())
    is_classes = labels is not None and np.shape(labels) == mine.shape and \
        np.issubdtype(np.asarray(labels).dtype, np.integer)
    if is_classes:
        found.accuracy = float((mine == labels)[counted].mean())
        found.accuracy_float = float((theirs == labels)[counted].mean())
    return run


def _add_operations(row, operation, active, times):
    """Additions and multiplications of a step that does it `times` times, at the measured activity."""
    if isinstance(operation, (Linear, Lagged, Convolution)):
        taps = operation.width * operation.rows if isinstance(operation, Lagged) else operation.y.n
        if isinstance(operation, Convolution):
            g = operation.geometry
            taps = operation.bias.n * g.kernel[0] * g.kernel[1] / (g.stride[0] * g.stride[1])
        n = active.get(operation.x, float(operation.x.n)) * taps * times
        row.additions += n
        row.multiplications += 0 if operation.x.binary else n
    elif isinstance(operation, Map):
        ops = [value.op for value in operation.trace.needed(*(write.value for write in operation.writes))]
        row.additions += times * operation.n * sum(op in ("add", "sub") for op in ops)
        row.multiplications += times * operation.n * ops.count("mul")


def _owners(program):
    """(array, name of the layer that reads or writes it first) of each array."""
    from .program import taken
    seen: set[Array] = set()
    for operation in program.flat():
        for array in (*given(operation), *taken(operation)):
            if array not in seen:
                seen.add(array)
                yield array, program.layer_of[operation]


def _bytes(integers, array):
    """Bytes of an array in C."""
    for operation, weights in integers.weights.items():
        if operation.weight is array:
            shifts = len(weights.shift) if len(set(weights.shift.tolist())) > 1 else 0
            return integers.weight_bytes(array.n) + shifts
    return array.n * WIDTH[integers.format(array).type]

"""What the C of every arithmetic has in common: state, working space, the functions of the header."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..devices.contract import Geometry
from .expression import needed
from .program import Array, Lagged, Linear, Loop, Operation, Program, Read, given, taken

# a place in the padding is beyond the picture, also below 0: unsigned numbers wrap around
IN_PADDING = """const uint32_t {name} = {begin} - {padding}u;
if ({name} >= {size}u) {{
    continue;
}}"""

ADD_LAGGED = """/* y += x[k] times its rows of weights, each of them `lag` steps ahead; zeros are skipped */
static void {name}({word} *y, const {x} *x, const {w} *w, const {lag} *lag, uint32_t n_in, uint32_t rows,
    uint32_t n_out)
{{
    for (uint32_t k = 0; k < n_in; k++) {{
        if (x[k] != {zero}) {{
            for (uint32_t r = k * rows; r < (k + 1u) * rows; r++) {{
                for (uint32_t n = 0; n < n_out; n++) {{
                    y[lag[r * n_out + n] * n_out + n] += {term};
                }}
            }}
        }}
    }}
}}"""

STACK = 1024        # bytes of working space up to which it lies on the stack, else in the state
WIDTH = {"int64_t": 8, "float": 4, "int32_t": 4, "uint32_t": 4, "int16_t": 2, "uint16_t": 2, "int8_t": 1,
         "uint8_t": 1}


class Memory(NamedTuple):
    """Where the working arrays of each C type lie."""
    places: dict[Array, int]            # in elements of the type
    sizes: dict[str, int]               # C type -> elements


class Member(NamedTuple):
    """A member of the state."""
    type: str
    name: str
    n: int              # 0: a number, not an array

    @property
    def bytes(self) -> int:
        return WIDTH[self.type] * max(self.n, 1)

    def __str__(self) -> str:
        return f"{self.type} {self.name}{f'[{self.n}]' if self.n else ''};"


class Arithmetic(ABC):
    """What depends on the numbers: the C types of arrays, and the lines of each kind of operation.

    Helpers that lines call are put into `used`, and printed once.  word: the C type of intermediate values.
    """

    word: str

    def __init__(self, program: Program, name: str):
        self.program = program
        self.name = name
        self.used: dict[str, str] = {}

    @abstractmethod
    def type_of(self, array: Array) -> str:
        """The C type of an array's elements."""

    @abstractmethod
    def lines(self, operation: Operation, place: dict[Array, str]) -> list[str]:
        """The C of an operation.  place: the C expression of the begin of each array."""

    @abstractmethod
    def rows(self, operation: Linear, place: dict[Array, str]) -> list[str]:
        """The C of a Linear whose input are `count` `indices`."""

    def scratch(self, operation: Operation) -> list[Array]:
        """Arrays that an operation needs while it runs."""
        return []

    @abstractmethod
    def one_more(self, expression: str) -> str:
        """An element of the input with one event more."""

    @abstractmethod
    def constant(self, array: Array) -> str:
        """The definition of a constant array."""

    @abstractmethod
    def begin(self, array: Array) -> list[str]:
        """The first values of a state, as C writes them."""

    @abstractmethod
    def written(self, number: Any) -> str:
        """A constant of an expression."""

    @abstractmethod
    def expression(self, value: Any, args: list[str]) -> str:
        """One operation on values that have names."""

    def statements(self, values: Iterable[Any], results: list[Any],
                   read: Callable[[Any], str]) -> tuple[list[str], list[str]]:
        """(definitions of what results are made of, the results as expressions)."""
        lines, names = [], {}
        for value in needed(values, results):
            if value.op == "const":
                names[value.index] = self.written(value.number)
                continue
            found = read(value.number) if value.op in ("input", "read") else \
                self.expression(value, [names[a.index] for a in value.args])
            names[value.index] = f"t{value.index}"
            lines.append(f"const {self.word} t{value.index} = {found};")
        return lines, [names[result.index] for result in results]

    def element(self, read: Read, place: dict[Array, str]) -> str:
        """What is read in place i of a loop."""
        if read.array.kind == "count":
            return f"({self.word}){place[read.array]}"
        index = "i" if read.places == 1 else f"i / {read.places}u"
        return f"{place[read.array]}[{index}{f' + {read.offset}u' if read.offset else ''}]"


class CCode:
    """State and functions of a program in C."""

    def __init__(self, program: Program, name: str, arithmetic: Arithmetic, events: bool):
        self.program = program
        self.name = name
        self.arithmetic = arithmetic
        self.is_token = program.input.kind == "token"
        self.events = events or self.is_token
        self.memory = memory(program, arithmetic)
        self.on_stack = sum(n * WIDTH[kind] for kind, n in self.memory.sizes.items()) <= STACK
        first = program.operations[0]
        reads_input = [op for op in program.operations if program.input in taken(op)]
        # events go straight to the rows of the first weights, where nothing else reads the input
        self.rows_first = self.events and isinstance(first, Linear) and reads_input == [first]
        self.buffered = self.events and not self.rows_first
        rows = first.weight.n // first.y.n if self.is_token and isinstance(first, Linear) else program.input.n
        self.index = "uint16_t" if rows <= 1 << 16 else "uint32_t"

    @property
    def constant_bytes(self) -> int:
        """Bytes of constants: weights, coefficients, tables."""
        sizes = re.findall(r"static const (\w+) \w+\[(\d+)\] =", self.source())
        return sum(WIDTH[kind] * int(n) for kind, n in sizes)

    # ---- the state

    def members(self) -> list[Member]:
        """The widest come first, so that there is no padding between them."""
        found = []
        for array in self.program.arrays:
            if array.kind == "count":
                found.append(Member("uint32_t", array.name, 0))
            elif array.kind == "state":
                found.append(Member(self.arithmetic.type_of(array), array.name, array.n))
        output = self.program.output
        if not self._is_kept(output):
            found.append(Member(self.arithmetic.type_of(output), "output", output.n))
        if self.events:
            found.append(Member("uint32_t", "ignored", 0))
        if self.buffered:
            found.append(Member(self.arithmetic.type_of(self.program.input), "events", self.program.input.n))
        if not self.on_stack:
            found += [Member(kind, f"work_{kind[:-2]}", n) for kind, n in self.memory.sizes.items()]
        return sorted(found, key=lambda member: -WIDTH[member.type])

    @property
    def state_bytes(self) -> int:
        """sizeof the state."""
        members = self.members()
        widest = max(WIDTH[member.type] for member in members)
        return -(-sum(member.bytes for member in members) // widest) * widest

    @staticmethod
    def _is_kept(array):
        return array.kind in ("state", "count")

    def place(self) -> dict[Array, str]:
        """The C expression of the begin of each array."""
        arrays = {*self.program.arrays, *self.memory.places}
        return {array: self._place(array) for array in arrays}

    def _place(self, array):
        if array.kind in ("input", "token"):
            return "input"
        if array.kind in ("constant", "place"):
            return array.name
        if self._is_kept(array):
            return f"s->{array.name}"
        if array is self.program.output:
            return "s->output"
        offset = self.memory.places[array]
        space = f"{'' if self.on_stack else 's->'}work_{self.arithmetic.type_of(array)[:-2]}"
        return f"({space} + {offset})" if offset else space

    # ---- functions

    def prototypes(self) -> dict[str, str]:
        """Function -> its declaration, without the semicolon."""
        name, output = self.name, self.arithmetic.type_of(self.program.output)
        given_type = self.arithmetic.type_of(self.program.input)
        functions = {
            "reset": f"void {name}_reset({name}_state *s)",
            "step": f"void {name}_step({name}_state *s, const {given_type} *input, {output} *output)"}
        if self.events:
            functions["step_events"] = (f"void {name}_step_events({name}_state *s, "
                                        f"const {self.index} *indices, uint32_t count, {output} *output)")
        functions["decision"] = f"uint32_t {name}_decision(const {name}_state *s)"
        return functions

    def source(self) -> str:
        """Constants, helpers, functions."""
        functions = [self._reset(), *self._steps(), self._decision()]
        constants = [self.arithmetic.constant(a) for kind in ("constant", "place")
                     for a in self.program.of_kind(kind)]
        return "\n\n".join([*constants, *self.arithmetic.used.values(), *functions]) + "\n"

    def _reset(self):
        lines = ["memset(s, 0, sizeof *s);"]
        for array in self.program.of_kind("state"):
            begin = self.arithmetic.begin(array)
            if len(set(begin)) > 1:
                lines += [f"s->{array.name}[{i}] = {value};" for i, value in enumerate(begin)]
            elif float(begin[0].rstrip("f")):
                lines += [f"for (uint32_t i = 0; i < {array.n}u; i++) {{",
                          f"    s->{array.name}[i] = {begin[0]};", "}"]
        return function(self.prototypes()["reset"], lines)

    def _steps(self):
        heads, name = self.prototypes(), self.name
        if not self.events:
            return [function(heads["step"], self._step())]
        kind, output = (self.arithmetic.type_of(a) for a in (self.program.input, self.program.output))
        taken = f", const {self.index} *indices, uint32_t count"
        run = f"static void {name}_run({name}_state *s, const {kind} *input{taken}, {output} *output)"
        step = self._token() if self.is_token else [f"{name}_run(s, input, 0, 0u, output);"]
        if self.rows_first:
            events = [f"{name}_run(s, 0, indices, count, output);"]
        else:
            run = run.replace(taken, "")
            step = [line.replace(", 0, 0u", "") for line in step]
            events = [*self._collected(), f"{name}_run(s, s->events, output);"]
        return [function(run, self._step()), function(heads["step"], step),
                function(heads["step_events"], events)]

    def _token(self):
        """A token is the one row that it names."""
        over = " || *input > 65535" if self.index == "uint16_t" else ""
        return [f"const {self.index} index = ({self.index})*input;",
                f"if (*input < 0{over}) {{", "    s->ignored++;",
                f"    {self.name}_run(s, 0, 0, 0u, output);", "} else {",
                f"    {self.name}_run(s, 0, &index, 1u, output);", "}"]

    def _collected(self):
        """Events as an array of numbers of events."""
        return ["memset(s->events, 0, sizeof s->events);",
                "for (uint32_t k = 0; k < count; k++) {",
                f"    if (indices[k] < {self.program.input.n}u) {{",
                f"        s->events[indices[k]] = {self.arithmetic.one_more('s->events[indices[k]]')};",
                "    } else {", "        s->ignored++;", "    }", "}"]

    def _step(self):
        space = [f"{kind} work_{kind[:-2]}[{n}];" for kind, n in self.memory.sizes.items()]
        first, *rest = self.program.operations
        place = self.place()
        if not self.rows_first:
            lines = self._operations(self.program.operations, place)
        elif self.is_token:
            lines = [*self.arithmetic.rows(first, place), *self._operations(rest, place)]
        else:
            lines = ["if (input != 0) {", *indented(self.arithmetic.lines(first, place)), "} else {",
                     *indented(self.arithmetic.rows(first, place)), "}", *self._operations(rest, place)]
        if self.rows_first and self.is_token:
            lines = ["(void)input;", *lines]
        output = place[self.program.output]
        handed = ["if (output != 0) {", f"    memcpy(output, {output}, sizeof {output});", "}"]
        if output == "input":
            size = f"{self.program.output.n}u * sizeof *input"
            handed = ["if (output != 0) {", f"    memcpy(output, input, {size});", "}"]
        return [*(space if self.on_stack else []), *lines, *handed]

    def _operations(self, operations: Iterable[Operation], place):
        lines, said = [], ""
        for operation in operations:
            if isinstance(operation, Loop):
                lines += [f"for (uint32_t turn = 0; turn < {operation.times}u; turn++) {{",
                          *indented(self._operations(operation.inside, place)), "}"]
                continue
            layer = self.program.layer_of[operation]
            if layer != said:
                lines.append(f"/* {layer} */")
            said = layer
            lines += self.arithmetic.lines(operation, place)
        return lines

    def _decision(self):
        output = self.place()[self.program.output]
        return function(self.prototypes()["decision"], [
            "uint32_t best = 0;", f"for (uint32_t i = 1; i < {self.program.output.n}u; i++) {{",
            f"    if ({output}[i] > {output}[best]) {{", "        best = i;", "    }", "}", "return best;"])


def memory(program: Program, arithmetic: Arithmetic) -> Memory:
    """Where working arrays lie: those that live at different times share their place."""
    lives: dict[Array, list[int]] = {}
    for time, operation in enumerate(program.operations):
        inner = operation.inside if isinstance(operation, Loop) else [operation]
        scratch = [array for op in inner for array in arithmetic.scratch(op)]
        for array in (*taken(operation), *given(operation), *scratch):
            if array.kind == "work" and array is not program.output:
                lives.setdefault(array, []).append(time)
    places: dict[Array, int] = {}
    sizes: dict[str, int] = {}
    for array, times in lives.items():
        kind = arithmetic.type_of(array)
        busy = sorted((places[other], places[other] + other.n) for other in places
                      if arithmetic.type_of(other) == kind
                      and min(lives[other]) <= max(times) and min(times) <= max(lives[other]))
        begin = 0
        for first, last in busy:
            if begin + array.n <= first:
                break
            begin = max(begin, last)
        places[array] = begin
        sizes[kind] = max(sizes.get(kind, 0), begin + array.n)
    return Memory(places, sizes)


def function(head: str, lines: Iterable[str]) -> str:
    """A function of C."""
    return "\n".join([head, "{", *indented(lines), "}"])


def indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def nested(loops: list[tuple[str, int]], lines: list[str]) -> list[str]:
    """Lines within for loops over (name, number)."""
    for name, n in reversed(loops):
        lines = [f"for (uint32_t {name} = 0; {name} < {n}u; {name}++) {{", *indented(lines), "}"]
    return lines


def added_at_lags(arithmetic: Arithmetic, operation: Lagged, place: dict[Array, str], name: str, zero: str,
                  **types: str) -> list[str]:
    """The C of a Lagged.  name, types: of its helper; zero: as C writes it."""
    y, start, lag = operation.y, operation.start, arithmetic.type_of(operation.lag)
    name = f"add_lagged_{name}_{lag[:-2]}"
    arithmetic.used[name] = ADD_LAGGED.format(name=name, lag=lag, zero=zero, **types)
    first = "" if start is None else f"memcpy({place[y]}, {place[start]}, sizeof {place[start]});"
    rest = nested([("n", operation.width)], [f"{place[y]}[{y.n - operation.width}u + n] = {zero};"])
    arrays = ", ".join(place[a] for a in (y, operation.x, operation.weight, operation.lag))
    sizes = f"{operation.x.n}u, {operation.rows}u, {operation.width}u"
    return [*filter(None, [first]), *rest, f"{name}({arrays}, {sizes});"]


def in_padding(name: str, begin: str, g: Geometry, axis: int) -> str:
    """Lines that name a place along an axis, and leave it out where it lies in the padding."""
    return IN_PADDING.format(name=name, begin=begin, padding=g.padding[axis], size=g.size[axis])


def of_window(x: str, g: Geometry) -> tuple[list[str], str]:
    """(lines before it, what window r, q of channel c of x holds at i, j)."""
    lines, places = [], [f"r * {g.stride[0]}u + i", f"q * {g.stride[1]}u + j"]
    for axis, name in enumerate(("row", "column")):
        if g.padding[axis]:
            lines += in_padding(name, places[axis], g, axis).split("\n")
            places[axis] = name
    return lines, f"{x}[(c * {g.size[0]}u + {places[0]}) * {g.size[1]}u + {places[1]}]"


def table(head: str, values: Iterable[str], width: int = 100) -> str:
    """A constant table."""
    lines, line = [], "   "
    for value in values:
        if len(line) + len(value) + 2 > width:
            lines.append(line)
            line = "   "
        line += f" {value},"
    return "\n".join([f"{head} = {{", *lines, line, "};"])

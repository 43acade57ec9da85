"""C in whole numbers: what integers.py computes in NumPy, number for number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .c_code import Arithmetic, added_at_lags, in_padding, indented, nested, of_window, table
from .fixed import Fixed, Table
from .integers import OF_ONE, STEPS, IntegerProgram
from .program import (
    Array,
    Convolution,
    Copy,
    Count,
    Lagged,
    Linear,
    Map,
    Normalise,
    Operation,
    Softmax,
    Windows,
)

BINARY = {"add": "+", "sub": "-", "mul": "*"}
SATURATE = """/* the nearest number that a {bits}-bit word holds */
static {type} {name}({word} q)
{{
    return ({type})(q < {low} ? {low} : q > {high} ? {high} : q);
}}"""
SCALED = """/* q / 2^n, halves up; n below 0: q 2^-n */
static {word} scaled_{bits}({word} q, int32_t n)
{{
    const {word} one = 1;
    return n > 0 ? (q + (one << (n - 1))) >> n : q * (one << -n);
}}"""
NIBBLE = """/* number i of 4 bits, two in a byte, the lower half first */
static int32_t nibble(const uint8_t *q, uint32_t i)
{
    return (int32_t)(((uint32_t)q[i >> 1] >> (4u * (i & 1u)) & 15u) ^ 8u) - 8;
}"""
ADD_ROWS = """/* sum += x[k] times row k of the weights; zeros are skipped */
static void add_rows_{name}({word} *sum, const {x} *x, const {w} *w, uint32_t n_in, uint32_t n_out)
{{
    for (uint32_t k = 0; k < n_in; k++) {{
        if (x[k] != 0) {{
            for (uint32_t n = 0; n < n_out; n++) {{
                sum[n] += {term};
            }}
        }}
    }}
}}"""
LOOK_UP = """/* a function by straight pieces of 2^shift numbers from low on */
static {word} look_up({word} x, const int16_t *values, {word} low, uint32_t shift, {word} pieces)
{{
    const {word} one = 1, last = pieces * (one << shift);
    const {word} d = x < low ? 0 : x - low > last ? last : x - low;
    const {word} at = d >> shift, i = at < pieces - 1 ? at : pieces - 1;
    const {word} rise = (values[i + 1] - values[i]) * (d - i * (one << shift));
    return values[i] + (shift > 0u ? (rise + (one << (shift - 1u))) >> shift : rise);
}}"""
DIVIDED = """/* a / b to the nearest, halves away from 0; 0 where b is 0 */
static int64_t divided(int64_t a, int64_t b)
{
    const int64_t size = b < 0 ? -b : b, whole = a < 0 ? -a : a;
    const int64_t q = size == 0 ? 0 : (whole + size / 2) / size;
    return (a < 0) != (b < 0) ? -q : q;
}"""
ROOT = """/* the whole part of the square root */
static int64_t whole_root(int64_t q)
{
    int64_t root = 0;
    for (int32_t bit = 30; bit >= 0; bit--) {
        const int64_t larger = root | ((int64_t)1 << bit);
        root = larger * larger <= q ? larger : root;
    }
    return root;
}"""
CONVOLUTION = """{word} sum = 0;
for (uint32_t c = 0; c < {channels}u; c++) {{
    for (uint32_t i = 0; i < {kernel[0]}u; i++) {{
        {row}
        const uint32_t at = (c * {size[0]}u + row) * {size[1]}u{from_column};
        const uint32_t tap = ((o * {channels}u + c) * {kernel[0]}u + i) * {kernel[1]}u;
        for (uint32_t j = 0; j < {kernel[1]}u; j++) {{
            {column}
            sum += ({word}){x}[at + {offset}] * {weight};
        }}
    }}
}}
{y}[(o * {out[0]}u + r) * {out[1]}u + q] = {store};"""


def in_bytes(q: np.ndarray) -> np.ndarray:
    """Numbers of 4 bits, two in a byte, the lower half first."""
    halves = np.pad(q, (0, len(q) % 2)).reshape(-1, 2) & 15
    return halves[:, 0] | halves[:, 1] << 4


class Integers(Arithmetic):
    """Whole numbers throughout."""

    def __init__(self, integers: IntegerProgram, name: str):
        super().__init__(integers.program, name)
        self.integers = integers
        self.word = f"int{integers.word}_t"
        self.sums = {op: Array("sum", op.y.n) for op in self.program.flat() if isinstance(op, Linear)}
        self.tables: list[Table] = []

    def type_of(self, array: Array) -> str:
        for operation, total in self.sums.items():
            if total is array:
                return self._word_of(operation)
        return self.integers.format(array).type

    def _word_of(self, operation):
        """The type of an operation's sums of weights."""
        return f"int{self.integers.weights[operation].word}_t"

    def _scaled(self, operation, total, index):
        """A sum of weights in the scale of the result."""
        weights = self.integers.weights[operation]
        self.used[f"scaled_{weights.word}"] = SCALED.format(word=self._word_of(operation), bits=weights.word)
        shift = self._shift(operation.weight, weights, index)
        return f"scaled_{weights.word}({total}, {shift})"

    def scratch(self, operation: Operation) -> list[Array]:
        return [self.sums[operation]] if operation in self.sums else []

    def lines(self, operation: Operation, place: dict[Array, str]) -> list[str]:
        return PRINTED[type(operation)](self, operation, place)

    # ---- constants

    def constant(self, array: Array) -> str:
        for operation, weights in self.integers.weights.items():
            if operation.weight is array:
                return self._weights(array, weights)
        q = self.integers.numbers(array)
        return table(f"static const {self.type_of(array)} {array.name}[{array.n}]", map(str, q))

    def _weights(self, array, weights):
        q = weights.q.reshape(-1)
        if self.integers.packed:
            q = in_bytes(q)
        text = table(f"static const {self.weight_type} {array.name}[{len(q)}]", map(str, q))
        if len(set(weights.shift.tolist())) > 1:
            shifts = map(str, weights.shift)
            text += "\n\n" + table(f"static const int8_t {array.name}_shift[{len(weights.shift)}]", shifts)
        return text

    @property
    def weight_type(self) -> str:
        if self.integers.packed:
            return "uint8_t"
        return "int8_t" if self.integers.bits <= 8 else "int16_t"

    def _weight(self, array, index):
        """One of the weights; index: of type uint32_t."""
        if not self.integers.packed:
            return f"{array}[{index}]"
        self.used["nibble"] = NIBBLE
        return f"nibble({array}, {index})"

    def _shift(self, weight, weights, index):
        """The shift of an output: a table's, or the one of all."""
        shifts = set(weights.shift.tolist())
        return str(shifts.pop()) if len(shifts) == 1 else f"{weight.name}_shift[{index}]"

    def begin(self, array: Array) -> list[str]:
        return list(map(str, self.integers.numbers(array)))

    @staticmethod
    def one_more(expression: str) -> str:
        return f"(uint8_t)({expression} < 255 ? {expression} + 1 : 255)"

    # ---- expressions

    @staticmethod
    def written(number: int) -> str:
        return str(number) if number >= 0 else f"({number})"

    def expression(self, value: Fixed, args: list[str]) -> str:
        op, n = value.op, value.number
        if op in BINARY:
            return f"{args[0]} {BINARY[op]} {args[1]}"
        if op == "right":
            return f"({args[0]} + {1 << n - 1}) >> {n}"
        if op == "left":
            return f"{args[0]} * {1 << n}"
        if op in ("gt", "ge"):
            return f"{args[0]} {'>' if op == 'gt' else '>='} {args[1]} ? 1 : 0"
        if op in ("min", "max"):
            return f"{args[0]} {'<' if op == 'min' else '>'} {args[1]} ? {args[0]} : {args[1]}"
        if op == "where":
            return f"{args[0]} != 0 ? {args[1]} : {args[2]}"
        if op == "neg":
            return f"-{args[0]}"
        if op == "abs":
            return f"{args[0]} < 0 ? -{args[0]} : {args[0]}"
        if op == "div":
            self.used["divided"] = DIVIDED
            return f"({self.word})divided({args[0]}, {args[1]})"
        return self._looked_up(n, args[0])

    def _looked_up(self, made, x):
        if made.name not in self.used:
            self.used[made.name] = table(f"static const int16_t {made.name}[{len(made.values)}]",
                                         map(str, made.values))
        self.used["look_up"] = LOOK_UP.format(word=self.word)
        return f"look_up({x}, {made.name}, {made.low}, {made.shift}u, {len(made.values) - 1})"

    def store(self, array: Array, expression: str, fixed: Fixed | None = None, word: str = "") -> str:
        """An expression as the array holds it, saturated where it may not fit.  word: its type."""
        kind = self.integers.format(array)
        if fixed is not None and kind.low <= fixed.low and fixed.high <= kind.high:
            return f"({kind.type}){expression}"
        bits = max(kind.high.bit_length(), (-kind.low - 1).bit_length() if kind.low < 0 else 0) + 1
        low, high = (str(end) if end >= 0 else f"({end})" for end in (kind.low, kind.high))
        name = f"saturated_{bits}" + ("_of_64" if word == "int64_t" != self.word else "")
        self.used[name] = SATURATE.format(
            name=name, bits=bits, type=kind.type, word=word or self.word, low=low, high=high)
        return f"{name}({expression})"

    # ---- operations

    def _map(self, operation, place):
        expression = self.integers.expressions[operation]
        lines, results = self.statements(*expression, lambda read: self.element(read, place))
        for write, fixed, result in zip(operation.writes, expression.results, results, strict=True):
            lines.append(f"{place[write.array]}[i] = {self.store(write.array, result, fixed)};")
        return nested([("i", operation.n)], lines)

    def _term(self, operation, index):
        """What a helper of these types is printed with."""
        x, w, word = self.type_of(operation.x), self.weight_type, self._word_of(operation)
        binary = operation.x.binary
        name = f"{x[:-2]}_{w[:-2]}" if not binary else f"bits_{w[:-2]}"
        name += "_64" if word == "int64_t" else ""
        weight = self._weight("w", index)
        term = weight if binary else f"({word})x[k] * {weight}"
        return {"name": name, "word": word, "x": x, "w": w, "term": term}

    def _lagged(self, operation, place):
        return added_at_lags(self, operation, place, zero="0", **self._term(operation, "r * n_out + n"))

    def _linear(self, operation, place):
        types = self._term(operation, "k * n_out + n")
        name = types["name"]
        self.used[f"add_rows_{name}"] = ADD_ROWS.format(**types)
        total = place[self.sums[operation]]
        added = (f"add_rows_{name}({total}, {place[operation.x]}, {place[operation.weight]}, "
                 f"{operation.x.n}u, {operation.y.n}u);")
        return [*nested([("n", operation.y.n)], [f"{total}[n] = 0;"]), added, *self._summed(operation, place)]

    def _summed(self, operation, place):
        """The sums, scaled, on top of what they begin with."""
        y, start = operation.y, operation.start
        total = self._scaled(operation, f"{place[self.sums[operation]]}[n]", "n")
        if start is not None:
            total = f"{place[start]}[n] + {total}"
        store = self.store(y, total, word=self._word_of(operation))
        return nested([("n", y.n)], [f"{place[y]}[n] = {store};"])

    def rows(self, operation: Linear, place: dict[Array, str]) -> list[str]:
        total, n_out = place[self.sums[operation]], operation.y.n
        n_in = operation.weight.n // n_out
        row = [f"{total}[n] += {self._weight(place[operation.weight], f'indices[k] * {n_out}u + n')};"]
        return [*nested([("n", n_out)], [f"{total}[n] = 0;"]),
                "for (uint32_t k = 0; k < count; k++) {",
                f"    if (indices[k] < {n_in}u) {{", *indented(indented(nested([("n", n_out)], row))),
                "    } else {", "        s->ignored++;", "    }", "}", *self._summed(operation, place)]

    def _convolution(self, operation, place):
        g, word = operation.geometry, self._word_of(operation)
        total = f"{place[operation.bias]}[o] + {self._scaled(operation, 'sum', 'o')}"
        row, column = f"r * {g.stride[0]}u + i * {g.dilation[0]}u", f"q * {g.stride[1]}u"
        offset = f"j * {g.dilation[1]}u" if g.dilation[1] > 1 else "j"
        checks = [in_padding("row", row, g, 0), in_padding("column", f"{column} + {offset}", g, 1)]
        text = CONVOLUTION.format(
            **g._asdict(), word=word, x=place[operation.x], y=place[operation.y],
            weight=self._weight(place[operation.weight], "tap + j"),
            store=self.store(operation.y, total, word=word),
            row=checks[0].replace("\n", "\n" + 8 * " ") if g.padding[0] else f"const uint32_t row = {row};",
            column=checks[1].replace("\n", "\n" + 12 * " ") if g.padding[1] else "",
            from_column="" if g.padding[1] else f" + {column}",
            offset="column" if g.padding[1] else offset)
        lines = [line for line in text.split("\n") if line.strip()]
        return nested([("o", operation.bias.n), ("r", g.out[0]), ("q", g.out[1])], lines)

    def _windows(self, operation, place):
        g, (rows, columns) = operation.geometry, operation.geometry.out
        inside, element = of_window(place[operation.x], g)
        first = "0"
        turn = f"total += {element};"
        if operation.reduce == "max":
            first = element.replace("+ i)", "+ 0u)").replace("+ j]", "+ 0u]")
            turn = f"total = {element} > total ? {element} : total;"
        expression = self.integers.expressions[operation]
        lines, (result,) = self.statements(*expression, lambda read: "total")
        index = f"(c * {rows}u + r) * {columns}u + q"
        return nested([("c", g.channels), ("r", rows), ("q", columns)], [
            f"{self.word} total = {first};",
            *nested([("i", g.kernel[0]), ("j", g.kernel[1])], [*inside, turn]), *lines,
            f"{place[operation.y]}[{index}] = {self.store(operation.y, result, expression.results[0])};"])

    def _copy(self, operation, place):
        y = place[operation.y] if not operation.offset else f"({place[operation.y]} + {operation.offset})"
        if self.integers.format(operation.y)[:2] == self.integers.format(operation.x)[:2]:
            size = f"{operation.x.n}u * sizeof({self.type_of(operation.x)})"
            return [f"memcpy({y}, {place[operation.x]}, {size});"]
        expression = self.integers.expressions[operation]
        lines, (result,) = self.statements(*expression, lambda read: f"{place[operation.x]}[i]")
        store = self.store(operation.y, result, expression.results[0])
        return nested([("i", operation.x.n)], [*lines, f"{y}[i] = {store};"])

    def _softmax(self, operation, place):
        n, x, y = operation.x.n, place[operation.x], place[operation.y]
        expression = self.integers.expressions[operation]
        lines, (result,) = self.statements(*expression, lambda read: f"({self.word}){x}[i] - largest")
        return ["{", *indented([
            f"{self.word} largest = {x}[0], sum = 0;",
            *nested([("i", n)], [f"largest = {x}[i] > largest ? {x}[i] : largest;"]),
            *nested([("i", n)], [*lines, f"{y}[i] = (int16_t){result};", f"sum += {y}[i];"]),
            *nested([("i", n)],
                    [f"{y}[i] = (int16_t)({y}[i] * {1 << OF_ONE} / (sum > 1 ? sum : 1));"])]), "}"]

    def _normalise(self, operation, place):
        self.used["divided"], self.used["whole_root"] = DIVIDED, ROOT
        x, y, places = place[operation.x], place[operation.y], operation.places
        width = operation.x.n // places
        shorter, fraction = self.integers.normalised(operation)
        eps = max(1, round(operation.eps * width ** 2 * 4.0 ** fraction))
        index = f"i * {places}u + p"
        of_x = f"(({x}[{index}] + {1 << shorter - 1}) >> {shorter})" if shorter else f"{x}[{index}]"
        expression = self.integers.expressions[operation]

        def read(element):
            return f"{place[element.array]}[i]" if element.array.kind == "constant" else "normal"
        lines, (result,) = self.statements(*expression, read)
        deviation = f"const int64_t d = (int64_t){of_x} * {width} - sum;"
        bound = 1 << 18
        kept = f"ratio > {bound} ? {bound} : ratio < -{bound} ? -{bound} : ratio"
        return nested([("p", places)], [
            "int64_t sum = 0, squares = 0, root;",
            *nested([("i", width)], [f"sum += {of_x};"]),
            *nested([("i", width)], [deviation, "squares += d * d;"]),
            f"root = whole_root(squares / {width} + {eps});",
            *nested([("i", width)], [
                deviation, f"const int64_t ratio = divided(d * {1 << OF_ONE - 4}, root);",
                f"const {self.word} normal = ({self.word})({kept});", *lines,
                f"{y}[{index}] = {self.store(operation.y, result, expression.results[0])};"])])

    def _count(self, operation, place):
        steps = place[operation.array]
        return [f"{steps} += {steps} < {STEPS}u ? 1u : 0u;"]


PRINTED: dict[type, Callable] = {
    Map: Integers._map, Linear: Integers._linear, Lagged: Integers._lagged,
    Convolution: Integers._convolution, Windows: Integers._windows, Softmax: Integers._softmax,
    Normalise: Integers._normalise, Count: Integers._count, Copy: Integers._copy}

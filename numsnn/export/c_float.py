"""C in float32: the operations of a program in the order of the reference device, to the same bits."""

from __future__ import annotations

import numpy as np

from .c_code import Arithmetic, added_at_lags, function, indented, nested, of_window, table
from .expression import Trace, Value
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
    place_type,
)

BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
ADD_ROWS = """/* y += x[k] times row k, for k in ascending order; zeros are skipped */
static void add_rows(float *y, const float *x, const float *w, uint32_t n_in, uint32_t n_out)
{
    for (uint32_t k = 0; k < n_in; k++) {
        if (x[k] != 0.0f) {
            for (uint32_t n = 0; n < n_out; n++) {
                y[n] += x[k] * w[k * n_out + n];
            }
        }
    }
}"""
ROOT = """/* within one unit in the last place, by Heron's method */
static float root(float x)
{
    float y;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits >> 1) + 0x1fbd1df5u;
    memcpy(&y, &bits, sizeof y);
    for (uint32_t i = 0; i < 4u; i++) {
        y = 0.5f * (y + x / y);
    }
    return y;
}"""
TWO_TO = """/* 2 to the power n of m = n + 1.5 * 2^23 */
static float two_to(float m)
{
    uint32_t bits;
    memcpy(&bits, &m, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&m, &bits, sizeof m);
    return m;
}"""
CONVOLVE = """/* y += the convolution of x; places of y that nothing reaches stay */
static void convolve(float *y, const float *x, const float *w, const int32_t *g)
{
    const int32_t channels = g[0], rows = g[1], columns = g[2];
    const int32_t out = g[3], rows_out = g[4], columns_out = g[5];
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t i = 0; i < g[6]; i++) {
            for (int32_t j = 0; j < g[7]; j++) {
                const float *taps = w + ((c * g[6] + i) * g[7] + j) * out;
                for (int32_t r = 0; r < rows_out; r++) {
                    const int32_t row = r * g[8] - g[10] + i * g[12];
                    if (row < 0 || row >= rows) {
                        continue;
                    }
                    for (int32_t q = 0; q < columns_out; q++) {
                        const int32_t column = q * g[9] - g[11] + j * g[13];
                        if (column < 0 || column >= columns) {
                            continue;
                        }
                        const float value = x[(c * rows + row) * columns + column];
                        if (value != 0.0f) {
                            for (int32_t o = 0; o < out; o++) {
                                y[(o * rows_out + r) * columns_out + q] += value * taps[o];
                            }
                        }
                    }
                }
            }
        }
    }
}"""


class Float(Arithmetic):
    """float32 throughout."""

    word = "float"

    def type_of(self, array: Array) -> str:
        if array.kind == "place":
            return place_type(array)
        return "int32_t" if array.kind == "token" else "float"

    def lines(self, operation: Operation, place: dict[Array, str]) -> list[str]:
        return PRINTED[type(operation)](self, operation, place)

    def constant(self, array: Array) -> str:
        values = array.values
        if array.kind == "place":
            whole = map(str, values.reshape(-1))
            return table(f"static const {place_type(array)} {array.name}[{array.n}]", whole)
        for operation in self.program.flat():
            if isinstance(operation, Convolution) and operation.weight is array:
                values = np.moveaxis(values, 0, -1)         # (in, rows, columns, out): taps lie together
        return table(f"static const float {array.name}[{array.n}]", map(literal, values.reshape(-1)))

    def begin(self, array: Array) -> list[str]:
        return list(map(literal, array.values.reshape(-1)))

    @staticmethod
    def one_more(expression: str) -> str:
        return f"{expression} + 1.0f"

    # ---- operations

    def _map(self, operation, place):
        lines, results = self.statements(operation.trace.values, [w.value for w in operation.writes],
                                         lambda read: self.element(read, place))
        for write, result in zip(operation.writes, results, strict=True):
            lines.append(f"{place[write.array]}[i] = {result};")
        return [f"for (uint32_t i = 0; i < {operation.n}u; i++) {{", *indented(lines), "}"]

    @staticmethod
    def written(number: float) -> str:
        return literal(number)

    def expression(self, value: Value, args: list[str]) -> str:
        op = value.op
        if op in BINARY:
            return f"{args[0]} {BINARY[op]} {args[1]}"
        if op in ("gt", "ge"):
            return f"{args[0]} {'>' if op == 'gt' else '>='} {args[1]} ? 1.0f : 0.0f"
        if op in ("min", "max"):
            return f"{args[1]} {'<' if op == 'min' else '>'} {args[0]} ? {args[1]} : {args[0]}"
        if op == "where":
            return f"{args[0]} != 0.0f ? {args[1]} : {args[2]}"
        if op == "neg":
            return f"-{args[0]}"
        if op == "abs":
            return f"{args[0]} < 0.0f ? -{args[0]} : {args[0]}"
        if op == "two_to":
            self.used["two_to"] = TWO_TO
            return f"two_to({args[0]})"
        if op == "sqrt":
            self.used["root"] = ROOT
            return f"root({args[0]})"
        name = op.removeprefix("call:")
        self._define(name)
        return f"{name}f_({args[0]})"

    def _define(self, name):
        """A function of the dialect, with what it calls before it."""
        if name in self.used:
            return
        trace = Trace()
        result = trace.inside(name)(trace.input("x"))
        lines, (found,) = self.statements(trace.values, [result], str)
        self.used[name] = function(f"static float {name}f_(float x)", [*lines, f"return {found};"])

    def _linear(self, operation, place):
        return [*self._start(operation, place), *self._added(operation, place)]

    def _start(self, operation, place):
        y, start = operation.y, operation.start
        if start is y:
            return []
        if start is None:
            return nested([("i", y.n)], [f"{place[y]}[i] = 0.0f;"])
        return [f"memcpy({place[y]}, {place[start]}, sizeof {place[start]});"]

    def _added(self, operation, place):
        self.used["add_rows"] = ADD_ROWS
        y, x, w = (place[a] for a in (operation.y, operation.x, operation.weight))
        return [f"add_rows({y}, {x}, {w}, {operation.x.n}u, {operation.y.n}u);"]

    def rows(self, operation: Linear, place: dict[Array, str]) -> list[str]:
        y, n_out = place[operation.y], operation.y.n
        n_in = operation.weight.n // n_out
        return [*self._start(operation, place), "for (uint32_t k = 0; k < count; k++) {",
                f"    if (indices[k] < {n_in}u) {{",
                f"        for (uint32_t n = 0; n < {n_out}u; n++) {{",
                f"            {y}[n] += {place[operation.weight]}[indices[k] * {n_out}u + n];", "        }",
                "    } else {", "        s->ignored++;", "    }", "}"]

    def _lagged(self, operation, place):
        types = dict.fromkeys(("word", "x", "w"), "float")
        return added_at_lags(self, operation, place, "float", "0.0f", term="x[k] * w[r * n_out + n]", **types)

    def _convolution(self, operation, place):
        self.used["convolve"] = CONVOLVE
        g, y = operation.geometry, place[operation.y]
        n_out = operation.bias.n
        places = operation.y.n // n_out
        numbers = (g.channels, *g.size, n_out, *g.out, *g.kernel, *g.stride, *g.padding, *g.dilation)
        geometry = f"{operation.weight.name}_geometry"
        self.used[geometry] = table(f"static const int32_t {geometry}[14]", map(str, numbers))
        return [f"for (uint32_t i = 0; i < {operation.y.n}u; i++) {{",
                f"    {y}[i] = {place[operation.bias]}[i / {places}u];", "}",
                f"convolve({y}, {place[operation.x]}, {place[operation.weight]}, {geometry});"]

    def _windows(self, operation, place):
        g, (rows, columns) = operation.geometry, operation.geometry.out
        inside, element = of_window(place[operation.x], g)
        if operation.reduce == "max":
            total, turn = element.replace("+ i)", ")").replace(" + j]", "]"), \
                f"total = {element} > total ? {element} : total;"
        else:
            total, turn = "0.0f", f"total += {element};"
        factor = "" if operation.factor == 1 else f" * {literal(operation.factor)}"
        index = f"(c * {rows}u + r) * {columns}u + q"
        return nested(
            [("c", g.channels), ("r", rows), ("q", columns)],
            [f"float total = {total};", *nested([("i", g.kernel[0]), ("j", g.kernel[1])], [*inside, turn]),
             f"{place[operation.y]}[{index}] = total{factor};"])

    def _softmax(self, operation, place):
        self._define("exp")
        n, x, y = operation.x.n, place[operation.x], place[operation.y]
        return ["{", *indented([
            f"float largest = {x}[0], sum = 0.0f;",
            *nested([("i", n)], [f"largest = {x}[i] > largest ? {x}[i] : largest;"]),
            *nested([("i", n)], [f"{y}[i] = expf_({x}[i] - largest);", f"sum += {y}[i];"]),
            *nested([("i", n)], [f"{y}[i] = {y}[i] / sum;"])]), "}"]

    def _normalise(self, operation, place):
        self.used["root"] = ROOT
        x, y, places = place[operation.x], place[operation.y], operation.places
        width = operation.x.n // places
        index, n = f"i * {places}u + p", literal(width)
        gain, bias = (f"{place[a]}[i]" for a in (operation.gain, operation.bias))
        return nested([("p", places)], [
            "float sum = 0.0f, squares = 0.0f, scale;",
            *nested([("i", width)], [f"sum += {x}[{index}];"]),
            f"sum = sum / {n};",
            *nested([("i", width)], [f"const float d = {x}[{index}] - sum;", "squares += d * d;"]),
            f"scale = 1.0f / root(squares / {n} + {literal(operation.eps)});",
            *nested([("i", width)], [f"{y}[{index}] = ({x}[{index}] - sum) * scale * {gain} + {bias};"])])

    def _count(self, operation, place):
        return [f"{place[operation.array]}++;"]

    def _copy(self, operation, place):
        y = place[operation.y] if not operation.offset else f"{place[operation.y]} + {operation.offset}"
        return [f"memcpy({y}, {place[operation.x]}, {operation.x.n}u * sizeof(float));"]


PRINTED = {
    Map: Float._map, Linear: Float._linear, Lagged: Float._lagged, Convolution: Float._convolution,
    Windows: Float._windows, Softmax: Float._softmax, Normalise: Float._normalise, Count: Float._count,
    Copy: Float._copy}


def literal(number: float) -> str:
    """A float32 as C writes it, exactly."""
    text = f"{float(np.float32(number)):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"

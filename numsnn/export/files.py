"""`export_c`: a network as two files of C, with the proof that they compute what it does.

    NAME.h, NAME.c      C99 and C++11; nothing but <stdint.h> and <string.h>
    NAME_report.json    of whole numbers: bytes, operations, saturations, agreement
    NAME_test.c         some steps with the answers that are expected: main returns 0, or prints the first
                        difference
    Makefile            make test builds and runs it with the host's compiler
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..checked import checked
from ..formats.whole import whole
from ..network.network import Network
from ..signals.spikes import Spikes
from .c_code import CCode, table
from .c_float import Float, literal
from .c_integers import Integers
from .float_run import FloatRun
from .lowering import lower
from .measure import as_numbers, inputs
from .quantise import IntegerNetwork, check_finite, quantise
from .report import Report
from .whole_run import IntegerRun

MARK = "Written by numsnn"
STEPS = 64              # of the test
NUMBERS: dict[str, dict[str, int] | None] = {
    "float32": None, "int8": {"weights": 8, "states": 16}, "q15": {"weights": 16, "states": 16}}
KEYWORDS = frozenset([
    "alignas", "alignof", "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const",
    "continue", "default", "delete", "do", "double", "else", "enum", "explicit", "export", "extern",
    "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace",
    "new", "operator", "private", "protected", "public", "register", "restrict", "return", "short",
    "signed", "sizeof", "static", "struct", "switch", "template", "this", "throw", "true", "try",
    "typedef", "typename", "union", "unsigned", "using", "virtual", "void", "volatile", "while"])


class Exported(NamedTuple):
    """What was written."""
    files: tuple[Path, ...]
    state_bytes: int
    constant_bytes: int
    report: Report | None       # of whole numbers

    def __str__(self) -> str:
        names = ", ".join(path.name for path in self.files)
        return (f"written to {self.files[0].parent}: {names}\n"
                f"{self.constant_bytes:,} bytes of constants, {self.state_bytes:,} bytes of state; "
                f"make -C {self.files[0].parent} test compares with {STEPS} steps of the network")


@checked
def export_c(net: Network | IntegerNetwork, folder: Path | str, name: str = "net", *,
             numbers: str | None = None, calibration: Any = None, events: bool | None = None,
             made_by: str = "") -> Exported:
    """Write a trained network as C: NAME.h, NAME.c, NAME_test.c and a Makefile.

    The C has no dependency, allocates nothing, and keeps all that changes in one struct that the caller owns:

        NAME_state state;  NAME_reset(&state);
        for (...) NAME_step(&state, input, output);         decision = NAME_decision(&state);

    net: a Network, or what `ns.quantise` made of one.  folder: made if it is not there.  name: a C
    identifier, first part of all names.  numbers: "float32" (the same bits as `net.step` on the reference
    device, where compiled without contraction of a b + c: -ffp-contract=off), "int8" (8-bit weights, 16-bit
    states) or "q15" (16-bit weights and states), which quantise on `calibration`; None: what `net` is.
    calibration: a Dataset or sequences (T, B, N), for whole numbers and for the steps of the test; without it
    the test is made of random inputs.  events: whether NAME_step_events, which takes indices of spikes, is
    written as well; None: where the input of the calibration is spikes or counts.  made_by: a line for the
    comment on top (the command, the checkpoint's digest).

    ExportError where the network has no such form, ValueError for a name, a folder or calibration data that
    do not do; nothing is written then.
    """
    _check_name(name)
    if numbers not in (None, *NUMBERS):
        raise ValueError(f"numbers must be one of {', '.join(NUMBERS)}; got {numbers!r}")
    if events not in (None, True, False):
        raise ValueError(f"events must be True, False or None; got {events!r}")
    made = _as_asked(net, numbers) if isinstance(net, IntegerNetwork) else \
        _quantised(net, numbers or "float32", calibration)
    plain = made.net if made is not None else net
    assert isinstance(plain, Network)
    x, is_spikes = _steps(plain, calibration)
    events = is_spikes if events is None else events
    if made is None:
        check_finite(plain)
        program = lower(plain)
        code = CCode(program, name, Float(program, name), events)
        given_x, answers = _float_answers(program, x)
    else:
        code = CCode(made.integers.program, name, Integers(made.integers, name), events)
        given_x, answers = _whole_answers(made, x)
    texts = dict(_files(code, plain, made, (given_x, answers), made_by))
    report = None if made is None else replace(made.report, state=code.state_bytes)     # with step_events
    if report is not None:
        texts[f"{name}_report.json"] = report.as_json()
    files = _write(Path(folder), texts)
    return Exported(files, code.state_bytes, code.constant_bytes, report)


def _as_asked(made, numbers):
    """A network in whole numbers, which `numbers` cannot make another."""
    own = {"weights": made.integers.bits, "states": made.integers.states}
    if numbers is not None and NUMBERS[numbers] != own:
        raise ValueError(f"this network has weights of {own['weights']} and states of {own['states']} bits "
                         f"already; numbers={numbers!r} is for the network in floats that it was made of")
    return made


def _quantised(net, numbers, calibration):
    """The network in whole numbers, None for floats."""
    bits = NUMBERS[numbers]
    if bits is None:
        return None
    if calibration is None:
        raise ValueError(f"numbers={numbers!r} needs calibration=, data on which ranges are measured")
    return quantise(net, calibration, **bits)


def _check_name(name):
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", name) or name in KEYWORDS:
        raise ValueError(f"name must be an identifier of C, such as ecg; got {name!r}")


def _steps(net, calibration):
    """(inputs (T, N) for the test, whether they are spikes)."""
    if calibration is not None:
        source = calibration.x if hasattr(calibration, "batches") and len(calibration) < 8 else calibration
        is_spikes = isinstance(getattr(source, "_x", source), Spikes)
        x, *_ = inputs(net, calibration)
        one_after_the_other = x.swapaxes(0, 1).reshape(-1, x.shape[2])
        return one_after_the_other[:STEPS], is_spikes or bool((x == np.rint(x)).all() and x.min() >= 0)
    rng = np.random.default_rng(0)
    first = next(iter(net.layers.values()))
    if first.reads_tokens:
        return rng.integers(0, first.n_tokens, (STEPS, 1)).astype(np.float32), False
    return as_numbers(net, rng.normal(0, 1, (STEPS, 1, *net.input_shape)).astype(np.float32))[:, 0], False


def _float_answers(program, x):
    run = FloatRun(program, 1)
    return x, np.stack([run.step(now[None])[0] for now in x])


def _whole_answers(made, x):
    run = IntegerRun(made.integers, 1)
    q = made.whole(x)
    return q, np.stack([run.step(now[None])[0] for now in q])


# ---- the texts


def _files(code: CCode, net: Network, made: IntegerNetwork | None, steps: tuple,
           made_by: str) -> Iterator[tuple[str, str]]:
    name = code.name
    source = code.source()
    yield f"{name}.h", _header(code, net, made, made_by)
    yield f"{name}.c", (f"/* {MARK}, see {name}.h. */\n\n#include <stdint.h>\n#include <string.h>\n\n"
                        f'#include "{name}.h"\n\n{source}')
    yield f"{name}_test.c", _test(code, *steps)
    yield "Makefile", MAKEFILE.format(mark=MARK, name=name)


def _header(code, net, made, made_by):
    name, guard = code.name, f"{code.name.upper()}_H"
    program = code.program
    about = _about(code, net, made, made_by)
    inside = "\n".join(f" * {line}".rstrip() for line in about).replace("*/", "* /")
    members = "\n".join(f"    {member}" for member in code.members())
    prototypes = code.prototypes()
    functions = "\n\n".join(f"/* {SAID[key].format(n=program.input.n)} */\n{head};"
                            for key, head in prototypes.items())
    fractions = ""
    if made is not None:
        formats = made.integers.format
        fractions = (f"#define {name.upper()}_INPUT_FRACTION {formats(program.input).fraction}\n"
                     f"#define {name.upper()}_OUTPUT_FRACTION {formats(program.output).fraction}\n")
    return f"""/* {MARK}.
 *
{inside}
 */

#ifndef {guard}
#define {guard}

#include <stdint.h>

#define {name.upper()}_INPUTS {program.input.n}
#define {name.upper()}_OUTPUTS {program.output.n}
{fractions}
#ifdef __cplusplus
extern "C" {{
#endif

/* All that changes: {code.state_bytes} bytes, which the caller owns. */
typedef struct {{
{members}
}} {name}_state;

{functions}

#ifdef __cplusplus
}}
#endif

#endif
"""


SAID = {
    "reset": "Begin a sequence.",
    "step": "One time step: input holds {n} numbers; output, which may be 0, gets the answer.",
    "step_events": "One time step whose input are spikes: the indices of the units that spiked, in\n"
                   "   ascending order; those beyond {n} are ignored, and counted in s->ignored.",
    "decision": "The largest output of the last step."}


def _about(code, net, made, made_by):
    """What the network is, line by line."""
    from .. import __version__
    program = code.program
    yield f"A network of spiking neurons, {code.name}, by numsnn {__version__}."
    yield ""
    yield from (f"    {line}" for line in net.summary().split("\n"))
    yield ""
    yield f"A step is {net.dt:g} in the unit of the time constants."
    if made is None:
        yield "Numbers are float32; compile with -ffp-contract=off for the bits of the reference."
    else:
        formats, integers = made.integers.format, made.integers
        yield (f"Numbers are whole: weights of {integers.bits} bits, states of {integers.states}; "
               f"input[k] = round(x 2^{formats(program.input).fraction}),")
        yield f"and an output y stands for y / 2^{formats(program.output).fraction}" + \
            (", divided by the number of steps (it is a sum)." if program.mean_of else ".")
    work = sum(n for n in code.memory.sizes.values())
    where = "on the stack" if code.on_stack else "in the state"
    yield f"The state takes {code.state_bytes} bytes; {work} numbers of working space lie {where}."
    if made_by:
        yield made_by


def _test(code, x, answers):
    """The program that compares with what is expected."""
    name, arithmetic, program = code.name, code.arithmetic, code.program
    kinds = arithmetic.type_of(program.input), arithmetic.type_of(program.output)
    written = [literal if kind == "float" else (lambda v: str(int(v))) for kind in kinds]
    given_table, wanted = (
        table(f"static const {kind} {what}[{len(a)}][{a.shape[1]}]",
              ["{" + ", ".join(map(write, row)) + "}" for row in a])
        for kind, what, a, write in zip(kinds, ("inputs", "answers"), (x, answers), written, strict=True))
    shown = ("%.9g", "(double)") if kinds[1] == "float" else ("%ld", "(long)")
    return TEST.format(mark=MARK, name=name, inputs=given_table, answers=wanted, steps=len(x), kind=kinds[1],
                       n_out=program.output.n, shown=shown[0], cast=shown[1])


TEST = """/* {mark}: {steps} steps of {name}, and what they must give. */

#include <stdio.h>

#include "{name}.h"

{inputs}

{answers}

int main(void)
{{
    static {name}_state state;
    {kind} output[{n_out}];
    {name}_reset(&state);
    for (unsigned step = 0; step < {steps}u; step++) {{
        {name}_step(&state, inputs[step], output);
        for (unsigned i = 0; i < {n_out}u; i++) {{
            if (output[i] != answers[step][i]) {{
                printf("{name}: step %u, output %u is {shown}, not {shown}\\n", step, i, {cast}output[i],
                       {cast}answers[step][i]);
                return 1;
            }}
        }}
    }}
    printf("{name}: {steps} steps, every number as expected\\n");
    return 0;
}}
"""
MAKEFILE = """# {mark}: make test compares {name}.c with the network that it was made of.
CFLAGS ?= -O2 -std=c99 -Wall -Wextra -Wconversion -pedantic
CFLAGS += -ffp-contract=off

test: {name}_test
\t./{name}_test

{name}_test: {name}_test.c {name}.c {name}.h
\t$(CC) $(CFLAGS) -o $@ {name}_test.c {name}.c

clean:
\trm -f {name}_test

.PHONY: test clean
"""


def _write(folder, texts):
    """All files, or none."""
    for file in texts:
        path = folder / file
        if path.exists() and MARK not in path.read_text(errors="replace")[:200]:
            raise ValueError(f"{path} is there already and was not written by numsnn; "
                             f"choose another folder or name")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for file, text in texts.items():
            part = stack.enter_context(whole(folder / file))
            Path(part).write_text(text, encoding="utf-8")
    return tuple(folder / file for file in texts)

"""What a network as C costs: bytes of code and constants, time and instructions of a step.

    numsnn export CHECKPOINT OUT --name ecg --numbers int8 --data FOLDER
    python tests/benchmarks/export_cost.py OUT ecg [--steps 200000]

Packages (Debian): gcc gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm; what is missing is named and
left out.

Method: a program runs through the inputs of NAME_test.c again and again.  Host: the best of 5 times --steps
steps, one core, so that a busy machine shows less.  Cortex-M: the board is emulated with a clock that moves
on by a nanosecond an instruction (-icount shift=0), and its SysTick of 25 MHz counts a hundredth of --steps
(2,000 times 1,000 nops are counted as 1,002 a turn).  Instructions are no cycles: a Cortex-M0+ or M3 takes
one for most, two for loads and jumps.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from export_targets import BOARD_C, BOARD_LD, TARGETS, run

CORES = (("cortex-m3", "cortex-m0plus"), ("cortex-m3", "cortex-m3"), ("cortex-m4", "cortex-m4"))
HOST = """#define main compare
#include "{name}_test.c"
#undef main
#include <time.h>
int main(void)
{{
    static {name}_state state;
    const unsigned steps = sizeof inputs / sizeof inputs[0];
    double best = 1e9;
    for (int turn = 0; turn < 5; turn++) {{
        {name}_reset(&state);
        const clock_t begin = clock();
        for (unsigned step = 0; step < {turns}u; step++) {{
            {name}_step(&state, inputs[step % steps], 0);
        }}
        const double ns = (double)(clock() - begin) / CLOCKS_PER_SEC / {turns}.0 * 1e9;
        best = ns < best ? ns : best;
    }}
    printf("%.0f ns a step\\n", best);
    return compare();
}}
"""
BOARD = """#define main compare
#include "{name}_test.c"
#undef main
#define SYSTICK ((volatile uint32_t *)0xE000E010u)
int main(void)
{{
    static {name}_state state;
    const unsigned steps = sizeof inputs / sizeof inputs[0];
    SYSTICK[1] = 0xFFFFFFu;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5;
    {name}_reset(&state);
    const uint32_t begin = SYSTICK[2];
    for (unsigned step = 0; step < {turns}u; step++) {{
        {name}_step(&state, inputs[step % steps], 0);
    }}
    const uint32_t ticks = (begin - SYSTICK[2]) & 0xFFFFFFu;
    printf("%lu instructions a step\\n", (unsigned long)((uint64_t)ticks * 40u / {turns}u));
    return compare();
}}
"""


def sizes(folder, name):
    """Bytes for the smallest core, as `size` counts them, and of the deepest stack frame."""
    flags = ["-std=c99", "-Os", "-mcpu=cortex-m0plus", "-mthumb", "-ffp-contract=off", "-fstack-usage"]
    run(["arm-none-eabi-gcc", *flags, "-c", f"{name}.c", "-o", f"{name}.o"], folder)
    print(run(["arm-none-eabi-size", f"{name}.o"], folder).stdout.strip())
    frames = [int(line.split("\t")[1]) for line in Path(folder, f"{name}.su").read_text().splitlines()]
    print(f"deepest stack frame: {max(frames)} bytes")


def program(folder, text, target, flags=()):
    """What a program says on a target."""
    Path(folder, "cost.c").write_text(text)
    code = [source for source in Path(folder).glob("*.c") if source.name.endswith("_test.c")]
    name = code[0].name.removesuffix("_test.c")
    done = run([target.compiler, "-std=c99", "-ffp-contract=off", *target.flags, "-o", "cost", "cost.c",
                f"{name}.c", *target.sources], folder)
    if done.returncode:
        return done.stderr
    done = run([*target.run[:-1], *flags, *target.run[-1:], "./cost"], folder)
    return f"{done.stdout.strip()} {done.stderr.strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="what numsnn export wrote")
    parser.add_argument("name")
    parser.add_argument("--steps", type=int, default=200_000, help="fewer for large networks")
    asked = parser.parse_args()
    host = HOST.format(name=asked.name, turns=asked.steps)
    board_c = BOARD.format(name=asked.name, turns=max(1, asked.steps // 100))
    with tempfile.TemporaryDirectory() as folder:
        for path in asked.folder.glob(f"{asked.name}*.[ch]"):
            shutil.copy(path, folder)
        Path(folder, "board.ld").write_text(BOARD_LD)
        Path(folder, "board.c").write_text(BOARD_C)
        for flags in (["-O2"], ["-O3", "-march=native"]):
            target = TARGETS["host"]._replace(flags=flags)
            print(f"host, {' '.join(flags)}: {program(folder, host, target)}")
        if shutil.which("arm-none-eabi-gcc") is None:
            print("Cortex-M left out: arm-none-eabi-gcc not found")
            return 0
        sizes(folder, asked.name)
        for board, cpu in CORES:
            flags = [f"-mcpu={cpu}" if flag.startswith("-mcpu") else flag for flag in TARGETS[board].flags]
            said = program(folder, board_c, TARGETS[board]._replace(flags=flags), ("-icount", "shift=0"))
            print(f"compiled for {cpu}, -Os: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Random networks as C on every kind of machine: the same numbers everywhere.

    python tests/benchmarks/export_targets.py [--networks 100] [--first 0] [--targets host,aarch64,...]

Packages (Debian): gcc valgrind qemu-user qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi
gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross clang; a target
whose compiler or emulator is missing is named and left out.

Method: network number i is always the same one (random depth, widths, models, recurrences, answers; the
models of the registry in turns; at the front of every second one a convolution with a norm and a pool, an
embedding, or a branch and a repeat).  It is exported in floats and in whole numbers of 4, 8 and 16 bits in
turns, each with 64 steps of random input; NAME_test.c, which holds what the program answers in NumPy (and
tests/export compares with the reference device), is compiled for each target, run there, and must return 0.
The script ends with 1 where a number differs.
"""

import argparse
import copy
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

import numsnn as ns

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-ffp-contract=off"]
BARE = ["--specs=rdimon.specs", "-mthumb", "-T", "board.ld"]
HARD_FLOATS = ["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
BOARD = ["qemu-system-arm", "-nographic", "-semihosting-config", "enable=on,target=native"]


class Target(NamedTuple):
    """How a program is compiled, and what runs it."""
    compiler: str
    flags: list[str]
    run: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
TARGETS = {
    "host": Target("gcc", ["-O2"]),
    "clang": Target("clang", ["-O3"]),
    "sanitized": Target("gcc", SANITIZERS),
    "valgrind": Target("gcc", ["-O1", "-g"], ("valgrind", "-q", "--error-exitcode=3")),
    "aarch64": Target("aarch64-linux-gnu-gcc", ["-O2", "-static"], ("qemu-aarch64",)),
    "riscv64": Target("riscv64-linux-gnu-gcc", ["-O2", "-static"], ("qemu-riscv64",)),
    "cortex-m3": Target("arm-none-eabi-gcc", ["-Os", "-mcpu=cortex-m3", *BARE],
                        (*BOARD, "-machine", "mps2-an385", "-kernel"), ("board.c",)),
    "cortex-m4": Target("arm-none-eabi-gcc", ["-Os", "-mcpu=cortex-m4", *HARD_FLOATS, *BARE],
                        (*BOARD, "-machine", "mps2-an386", "-kernel"), ("board.c",)),
}
# memory and first instructions of the boards mps2-an385 (Cortex-M3) and mps2-an386 (Cortex-M4)
BOARD_LD = """
MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 4M  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
    .text : { KEEP(*(.vectors)) *(.text*) KEEP(*(.init)) KEEP(*(.fini)) *(.rodata*) } > FLASH
    .ARM.exidx : { *(.ARM.exidx*) } > FLASH
    .preinit_array : { __preinit_array_start = .; KEEP(*(.preinit_array*)) __preinit_array_end = .; } > FLASH
    .init_array : { __init_array_start = .; KEEP(*(.init_array*)) __init_array_end = .; } > FLASH
    .fini_array : { __fini_array_start = .; KEEP(*(.fini_array*)) __fini_array_end = .; } > FLASH
    .data : { *(.data*) } > RAM
    .bss : { __bss_start__ = .; *(.bss*) *(COMMON) __bss_end__ = .; end = .; __end__ = .; } > RAM
    __stack = ORIGIN(RAM) + LENGTH(RAM);
}
"""
BOARD_C = """
#include <stdint.h>
extern void _mainCRTStartup(void);
extern uint32_t __stack;
void begin(void);
void begin(void)
{
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
#endif
    _mainCRTStartup();
}
__attribute__((section(".vectors"), used))
static const struct { uint32_t *top; void (*first)(void); } vectors = {&__stack, begin};
"""


def pictures(rng, pick):
    """(layers, shape of the input, what they hand out) of a convolution over two or one dimensions."""
    one = rng.integers(2)
    size = (int(rng.integers(8, 14)),) * (1 if one else 2)
    channels, filters, kernel = (int(rng.integers(1, 4)) for _ in range(3))
    stride, padding, dilation = int(rng.integers(1, 3)), int(rng.integers(kernel)), int(rng.integers(1, 3))
    conv = (ns.Conv1d if one else ns.Conv2d)(channels, filters, kernel, stride=stride, padding=padding,
                                             dilation=dilation, bias=("uniform", -1, 1))
    pool = [ns.AvgPool1d, ns.MaxPool1d, ns.SumPool1d] if one else [ns.AvgPool2d, ns.MaxPool2d, ns.SumPool2d]
    norm = [[], [ns.BatchNorm()], [ns.LayerNorm(axes="channels")]][rng.integers(3)]
    layers = [conv, *norm, pick(), pool[rng.integers(3)](2), ns.Flatten()]
    probe = ns.Network(*copy.deepcopy(layers), input_shape=(channels, *size), device="reference")
    return layers, (channels, *size), next(reversed(probe.layers.values())).shape_out[0]


def sentences(rng, pick):
    tokens, width = int(rng.integers(2, 20)), int(rng.integers(1, 12))
    return [ns.Embedding(tokens, width, weight=("uniform", -2, 2)), pick()], None, width


def branches(rng, pick):
    n, width = (int(rng.integers(1, 12)) for _ in range(2))
    side = [ns.Dense(width, width), ns.LayerNorm(), pick()][:int(rng.integers(1, 4))]
    turns = int(rng.integers(1, 4))
    return [ns.Dense(n, width, bias=("uniform", -1, 1)), ns.Residual(*side), ns.Repeat(turns)], n, width


FRONTS = (None, pictures, None, branches, None, sentences)      # in turns; None: numbers as they are


def random_network(number):
    """Network number `number`."""
    rng = np.random.default_rng(number)
    models = list(ns.neurons.NEURONS.values())
    narrow = [ns.LIF, ns.LIAF, ns.ALIF, ns.ARLIF, ns.LI]
    front = FRONTS[number % len(FRONTS)]
    n_in = n = int(rng.integers(1, 12))
    layers = []
    if front is not None:
        layers, n_in, n = front(rng, lambda: narrow[rng.integers(len(narrow))]())
    for depth in range(rng.integers(1, 4)):
        model = models[number % len(models)] if depth == 0 else models[rng.integers(len(models))]
        width = int(rng.integers(1, 12))
        scale = float(rng.uniform(0.5, 3))
        recurrent = bool(rng.integers(2)) and model.name != "Integrator"     # whose sums would run away
        biases = {"recurrent_bias_init": ("uniform", -1, 1)} if recurrent and rng.integers(2) else {}
        layers += [ns.Dense(n, len(model.feedforward) * width, weight=("uniform", -scale, scale),
                            bias=("uniform", -1, 1)),
                   ns.population(model)(width, recurrent=recurrent, **biases)]
        n = width
    classes = int(rng.integers(1, 6))
    layers += [ns.Dense(n, classes), ns.LI(classes)]
    if rng.integers(4):
        layers.append(ns.OverTime(["sum", "mean", "max", "last"][rng.integers(4)]))
    return ns.Network(*layers, input_shape=n_in, device="reference", seed=number)


def exported(number, folder):
    """The names of what network `number` was written as."""
    net = random_network(number)
    rng = np.random.default_rng(number)
    first = next(iter(net.layers.values()))
    if first.reads_tokens:
        x = rng.integers(0, first.n_tokens, (64, 4))
    else:
        x = rng.normal(0, rng.uniform(0.3, 3), (64, 4, *net.input_shape))
        x[1::2] = rng.random(x[1::2].shape) < 0.3
        x = x.astype(np.float32)
    bits = (4, 8, 16)[number % 3]
    ns.export_c(net, folder, "floats", numbers="float32", calibration=x)
    ns.export_c(ns.quantise(net, x, weights=bits), folder, "whole", calibration=x)
    return "floats", "whole"


def run(command, folder):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def fault(target, name, folder):
    """What goes wrong with a written test on a target; empty where it passes."""
    program = f"{name}_{target.compiler}"
    command = [target.compiler, *STRICT, *target.flags, "-o", program, f"{name}_test.c", f"{name}.c",
               *target.sources]
    done = run(command, folder)
    if done.returncode or done.stderr:
        return f"compiling: {done.stderr[:500]}"
    done = run([*target.run, f"./{program}"], folder)
    passed = done.returncode == 0 and "every number as expected" in done.stdout
    return "" if passed else f"rc {done.returncode}: {done.stdout[:200]} {done.stderr[:300]}"


def present(name):
    target = TARGETS[name]
    missing = [tool for tool in (target.compiler, *target.run[:1]) if shutil.which(tool) is None]
    if missing:
        print(f"{name}: left out, {' and '.join(missing)} not found")
    return not missing


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--targets", default=",".join(TARGETS))
    asked = parser.parse_args()
    targets = [name for name in asked.targets.split(",") if present(name)]
    passed, faults = Counter(), 0
    for number in range(asked.first, asked.first + asked.networks):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "board.ld").write_text(BOARD_LD)
            Path(folder, "board.c").write_text(BOARD_C)
            for name in exported(number, Path(folder)):
                for kind in targets:
                    said = fault(TARGETS[kind], name, folder)
                    passed[kind, name] += not said
                    faults += bool(said)
                    if said:
                        print(f"network {number}, {name}, {kind}: {said}", flush=True)
    for kind in targets:
        print(f"{kind:10}: {passed[kind, 'floats']} of {asked.networks} in floats, "
              f"{passed[kind, 'whole']} of {asked.networks} in whole numbers, 64 steps each")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())

"""The command line: numsnn train, evaluate, energy, recipes, warmup, bench, convert, info, export, guide."""

import sys

from .arguments import parser
from .commands import COMMANDS


def main(arguments: list[str] | None = None) -> int:
    """Run the program; 0, 2 where the input was wrong, or 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        COMMANDS[options.command](options)
        return 0
    except (ValueError, ArithmeticError, OSError, ImportError, MemoryError) as error:
        print(f"numsnn {options.command}: {error or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"\nnumsnn {options.command}: {interrupt or 'stopped'}", file=sys.stderr)
        return 130


__all__ = ["main"]

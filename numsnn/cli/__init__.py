"""The command line: numsnn train, sweep, evaluate, diagnose, energy, recipes, models, bench, info ..."""

import os
import sys
from contextlib import suppress

from .arguments import parser
from .commands import COMMANDS


def main(arguments: list[str] | None = None) -> int:
    """Run the program; 0, 2 where the input was wrong, 130 after Ctrl-C, or 141 where nobody reads on."""
    options = parser().parse_args(arguments)
    try:
        COMMANDS[options.command](options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    except BrokenPipeError:                     # as in `numsnn info FILE | head`: no fault of anybody's
        with suppress(OSError, ValueError):     # what is left to write goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, ArithmeticError, OSError, ImportError, MemoryError) as error:
        print(f"numsnn {options.command}: {error or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"\nnumsnn {options.command}: {interrupt or 'stopped'}", file=sys.stderr)
        return 130


__all__ = ["main"]

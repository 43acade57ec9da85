"""What readers say of files that do not hold what their format promises."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..checked import checked


class FormatError(ValueError):
    """A file that is not what its format says: which file, where in it, what is wrong, what to do."""

    def __init__(self, path: Path | str, problem: str, position: int | str | None = None, remedy: str = ""):
        if position is None:
            where = ""
        elif isinstance(position, str):
            where = f", {position}"
        else:
            where = f", byte {position:,}"
        advice = f"; {remedy}" if remedy else ""
        super().__init__(f"{path}{where}: {problem}{advice}")
        self.path = path
        self.problem = problem
        self.position = position
        self.remedy = remedy


class Problems:
    """What a reader does with the bad parts of one file.

    strict raises FormatError at the first; otherwise each is skipped and counted.
    counts: kind of problem -> how often it was skipped.
    """

    @checked
    def __init__(self, path: Path | str, strict: bool = True):
        self.path = path
        self.strict = strict
        self.counts: Counter[str] = Counter()

    def found(self, kind: str, detail: str = "", position: int | str | None = None, remedy: str = "",
              n: int = 1) -> None:
        """A bad part of the file.

        kind: short and the same each time, it is what is counted; detail: what was expected and received.
        """
        if self.strict:
            problem = f"{kind}: {detail}" if detail else kind
            remedy = remedy or "strict=False skips and counts such parts"
            raise FormatError(self.path, problem, position, remedy)
        self.counts[kind] += n

    def fatal(self, problem: str, position: int | str | None = None, remedy: str = "") -> FormatError:
        """The error for a file of which nothing can be read; to be raised."""
        return FormatError(self.path, problem, position, remedy)


def existing(path: Path | str) -> Path:
    """The path of a file that is there and not empty."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if not path.stat().st_size:
        raise FormatError(path, "the file is empty",
                          remedy="it may not have been downloaded to the end; fetch it again")
    return path

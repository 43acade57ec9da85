"""What all pictures have in common: colours, sizes of type, how they are made and written, checks."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked
from ..formats.whole import write_bytes
from ..packages import needed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
INK, PALE = "#222222", "#d9d9d9"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fontsize": 8,
    "figure.dpi": 100,
    "savefig.dpi": 160,
}
Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


def styled(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """The function, run in our style."""
    @wraps(draw)
    def in_style(*arguments: Arguments.args, **keywords: Arguments.kwargs) -> Drawn:
        with needed("matplotlib", "a picture").rc_context(STYLE):
            return draw(*arguments, **keywords)
    return in_style


@styled
def figure(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, Any]:
    """(Figure, axes) in our style, sizes in inches; grid: further keywords of Matplotlib's `subplots`."""
    from matplotlib.figure import Figure
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(rows, columns, **grid)


@styled
@checked
def save(fig: Figure, path: Path | str) -> Path:
    """Write a figure as PNG (or whatever the ending of the path says); the path.

    It is drawn in memory first: where that fails, a file that is there stays as it is.
    """
    from matplotlib.figure import Figure
    if not isinstance(fig, Figure):
        raise TypeError(f"save writes a figure that a function of numsnn.plot made; got {type(fig).__name__}")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}; make it first")
    ending = path.suffix.removeprefix(".").lower() or "png"
    known = fig.canvas.get_supported_filetypes()
    if ending not in known:
        raise ValueError(f"{path}: a picture cannot be written as {ending!r}; "
                         f"the endings are {', '.join(sorted(known))}")
    drawn = io.BytesIO()
    fig.savefig(drawn, format=ending, bbox_inches="tight", pad_inches=0.08)
    write_bytes(path, drawn.getvalue())
    return path


# ---- checks


def numbers(what: str, a: ArrayLike, *shape: int | None) -> np.ndarray:
    """An array of numbers of this shape (None: any length), or an error that names it."""
    array = np.asarray(a)
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in "biuf":
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{what} must be an array of numbers of shape ({expected}); "
                         f"got {array.dtype} of shape {array.shape}")
    return array


def finite(what: str, a: ArrayLike, *shape: int | None) -> np.ndarray:
    """The same, none of them infinite or NaN."""
    array = numbers(what, a, *shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} holds {(~np.isfinite(array)).sum():,} numbers that are not finite; "
                         f"leave them out before drawing")
    return array


def axis_of_time(time: ArrayLike) -> np.ndarray:
    """(T,) times, at least one, ascending."""
    time = finite("time", time, None)
    if not len(time) or (np.diff(time) <= 0).any():
        raise ValueError(f"time must be one time or more that ascend; got {len(time)}"
                         f"{', which do not ascend' * bool(len(time))}")
    return time


def step_of(time: np.ndarray) -> float:
    """How long a step is; a single one is taken for 1."""
    return float(time[1] - time[0]) if len(time) > 1 else 1.0


def text_of(what: str, names: Sequence[str], n: int) -> list[str]:
    """n names as `plain` text, or an error that says how many there are."""
    if len(names) != n:
        raise ValueError(f"{what} must hold {n} names; got {len(names)}")
    return [plain(name) for name in names]


def plain(text: object) -> str:
    """Text that Matplotlib draws as it is: a dollar in the name of a file or class begins no formula."""
    return str(text).replace("$", r"\$")

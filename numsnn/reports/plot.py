"""Figures: training curves, confusion matrices, and a sequence over time.

Functions draw on axes that are handed in, or make a `Figure`; `save` writes it.  Matplotlib is imported when
a figure is drawn, and no global state of pyplot is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from ..packages import needed
from ..signals.events import Events
from ..training.metrics import scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..energy.comparison import Table
    from ..training.train import History

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
        matplotlib = needed("matplotlib", "a figure")
        with matplotlib.rc_context(STYLE):
            return draw(*arguments, **keywords)
    return in_style


@styled
def figure(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, Any]:
    """(Figure, axes) in our style, sizes in inches."""
    from matplotlib.figure import Figure
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(rows, columns, **grid)


@styled
def save(fig: Figure, path: Path | str) -> Path:
    """Write a figure as PNG (or whatever the ending of the path says)."""
    fig.savefig(path, bbox_inches="tight", pad_inches=0.08)
    return Path(path)


@styled
def training_curve(history: History, title: str = "") -> Figure:
    """Loss and accuracies over the epochs of a `History`; the chosen epoch is marked."""
    fig, (left, right) = figure(8, 3.2, 1, 2)
    epochs = np.arange(1, len(history) + 1)
    losses = history["loss"]
    left.plot(epochs, losses, color=COLOURS[0], lw=1.2)
    wide = 0 < 10 * min(losses, default=0) < max(losses, default=0)
    left.set(xlabel="epoch", ylabel="training loss", yscale="log" if wide else "linear")
    names = [key for key in history.epochs[0] if key.endswith("_accuracy")] if history.epochs else []
    for name, colour in zip(names, COLOURS, strict=False):
        right.plot(epochs, history[name], color=colour, lw=1.2, label=name.removesuffix("_accuracy"))
    best = history.best()
    if best is not None:
        chosen = best["epoch"] + 1
        right.axvline(chosen, color=INK, lw=0.8, ls=":")
        right.plot(chosen, best["valid_accuracy"], "o", color=INK, ms=4, label=f"chosen: epoch {chosen}")
    right.set(xlabel="epoch", ylabel="accuracy")
    right.legend(loc="lower right")
    for axis in (left, right):
        axis.set_xlim(1, max(2, len(history)))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(axis="y", color=PALE, lw=0.5)
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


@styled
def confusion(matrix: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """Confusion matrix: shares of each true class in percent, with recall and F1 of the class beside it."""
    matrix = np.asarray(matrix)
    n = len(classes)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    fig, axis = figure(1.6 + 0.55 * n, 1.1 + 0.5 * n)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(n):
        for j in range(n):
            if matrix[i, j]:
                percent = f"{100 * share[i, j]:.0f}" if share[i, j] >= 0.005 else "<1"
                colour = "white" if share[i, j] > 0.6 else INK
                axis.text(j, i, percent, ha="center", va="center", fontsize=8, color=colour)
    f1 = scores(matrix)["f1"]
    slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, classes)) > 5 else {}
    axis.set_xticks(range(n), classes, **slanted)
    axis.set_yticks(range(n), [f"{c}   F1 {f:.2f}" for c, f in zip(classes, f1, strict=True)])
    axis.set(xlabel="predicted", ylabel="true", title=title)
    axis.spines[:].set_visible(False)
    axis.set_xticks(np.arange(-0.5, n), minor=True)
    axis.set_yticks(np.arange(-0.5, n), minor=True)
    axis.grid(which="minor", color="white", lw=1.5)
    axis.tick_params(which="both", length=0)
    bar = fig.colorbar(image, ax=axis, fraction=0.046, pad=0.03)
    bar.set_label("% of the true class")
    bar.set_ticks([0, 0.5, 1], labels=["0", "50", "100"])
    bar.outline.set_visible(False)
    return fig


@styled
def raster(axis: Axes, time: np.ndarray, spikes: np.ndarray, colours: Sequence[str] | None = None,
           names: Sequence[str] | None = None) -> None:
    """Spikes (T, N) as ticks, one row a unit, the first on top."""
    n = spikes.shape[1]
    times = [time[spikes[:, i] > 0] for i in range(n)]
    axis.eventplot(times, lineoffsets=range(n), linelengths=0.8, linewidths=0.7, colors=colours or [INK] * n)
    axis.set_ylim(n - 0.4, -0.6)
    if names:
        axis.set_yticks(range(n), names)
    else:
        axis.set_yticks([0, n - 1], ["1", str(n)])


@styled
def membrane(axis: Axes, time: np.ndarray, v: np.ndarray, theta: np.ndarray,
             spikes: np.ndarray | None = None) -> None:
    """A membrane potential with its threshold; spikes as marks on top.

    A threshold that moves little against v gets a scale of its own.
    """
    axis.fill_between(time, v, theta, where=v > theta, color=COLOURS[1], alpha=0.35, lw=0)
    axis.plot(time, v, color=COLOURS[0], lw=0.9, label="membrane $v$")
    moves = np.ptp(theta)
    name = r"threshold $\theta$" + " (does not move)" * bool(moves <= 1e-6 * np.ptp(v))
    if 1e-6 < moves / max(np.ptp(v), 1e-12) < 0.04:
        axis.axhline(theta.mean(), color=COLOURS[1], lw=0.6, ls=":")
        own = axis.twinx()
        own.plot(time, theta, color=COLOURS[1], lw=1.1)
        own.tick_params(axis="y", colors=COLOURS[1])
        own.spines["right"].set(visible=True, color=COLOURS[1])
        own.set_ylim(theta.min() - 0.15 * moves, theta.max() + 1.5 * moves)
        name += ", right scale"
        axis.plot([], [], color=COLOURS[1], lw=1.1, label=name)
    else:
        axis.plot(time, theta, color=COLOURS[1], lw=1.1, label=name)
    if spikes is not None and np.any(spikes):
        fired = spikes > 0
        top = max(v.max(), theta.max())
        height = np.full(int(fired.sum()), top * 1.08)
        axis.plot(time[fired], height, "|", color=INK, ms=6, mew=0.9, label="spike")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0)


@styled
def label_bands(axis: Axes, time: np.ndarray, rows: dict[str, np.ndarray], classes: Sequence[str]) -> None:
    """Coloured bands of class labels over time, one row for each entry of `rows` (name -> (T,) labels)."""
    step = time[1] - time[0] if len(time) > 1 else 1.0
    for y, labels in enumerate(rows.values()):
        edges = np.flatnonzero(np.diff(labels)) + 1
        for a, b in zip([0, *edges], [*edges, len(labels)], strict=True):
            colour = COLOURS[labels[a] % len(COLOURS)]
            axis.broken_barh([(time[a], (b - a) * step)], (y - 0.4, 0.8), color=colour, lw=0)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    from matplotlib.patches import Patch
    patches = [Patch(color=COLOURS[i % len(COLOURS)], label=name) for i, name in enumerate(classes)]
    axis.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.45), ncols=len(classes),
                handlelength=1, columnspacing=1.2)


@styled
def sequence(time: np.ndarray, inputs: np.ndarray, hidden: np.ndarray,
             neuron: tuple[str, np.ndarray, np.ndarray, np.ndarray | None], labels: dict[str, np.ndarray],
             classes: Sequence[str], *, input_names: Sequence[str] | None = None, title: str = "",
             unit: str = "s") -> Figure:
    """One sequence through a network: input spikes, hidden raster, membrane of one neuron with its threshold,
    labels.

    time: (T,).  inputs: (T, N) spikes.  hidden: (T, N).  neuron: (name, v (T,), theta (T,), spikes (T,)).
    labels: name -> (T,), such as {"true": ..., "predicted": ...}.
    """
    fig, axes = figure(9, 6.6, 4, 1, sharex=True, height_ratios=(1, 2.4, 2, 0.9))
    in_turn = [COLOURS[i % 2] for i in range(inputs.shape[1])]
    raster(axes[0], time, inputs, in_turn, input_names)
    axes[0].set_ylabel("input")
    raster(axes[1], time, hidden)
    axes[1].set_ylabel("hidden neuron")
    name, v, theta, spikes = neuron
    membrane(axes[2], time, v, theta, spikes)
    axes[2].set_ylabel(name)
    label_bands(axes[3], time, labels, classes)
    axes[3].set_xlabel(f"time ({unit})")
    axes[3].set_xlim(time[0], time[-1])
    for axis in axes[:2]:
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
    fig.align_ylabels(axes)
    fig.suptitle(title, fontsize=10)
    return fig


@styled
def energy(table: Table, title: str = "") -> Figure:
    """A `Table` of numsnn.energy: energy of an inference of the network and of others of its size.

    Beside each of the others stands its ratio to the network.
    """
    from ..energy.count import UNITS, unit
    n = len(table.peers)
    energies = np.maximum([table.energy(i) for i in range(n)], 1e-3)        # a logarithm needs something
    scale = unit(energies.min())
    width = energies / UNITS[scale]
    fig, axis = figure(6.2, 1.2 + 0.38 * n)
    colours = [COLOURS[0]] + ["#a9b4c0"] * (n - 1)
    axis.barh(range(n), width, 0.58, color=colours, lw=0, zorder=2)
    for i, value in enumerate(energies):
        own = unit(value)
        number = f"{_three(value / UNITS[own])} {own}"
        text = f"{_three(table.ratio(i))}\u00d7" if i else number
        label = axis.annotate(text, (width[i], i), (4, 0), textcoords="offset points", va="center",
                              fontsize=9, weight="bold")
        if i:
            axis.annotate(number, (1, 0.5), (6, 0), xycoords=label, textcoords="offset points", va="center",
                          fontsize=8, color="#666666")
    axis.set_yticks(range(n), [f"{peer.name}\n{peer.parameters:,} parameters" for peer in table.peers])
    axis.tick_params(axis="y", length=0)
    if not title:
        title = f"{table.name}: {table.sizes}" if len(table.name + table.sizes) < 60 else table.name
    smallest = 10 ** np.floor(np.log10(width.min()) - 0.15)
    axis.set(xscale="log", ylim=(n - 0.45, -0.55), xlim=(smallest, width.max() * 6), title=title)
    what = f"energy of an inference of {table.steps:,.0f} steps ({scale})"
    axis.set_xlabel(f"{what}\n{table.constants}", linespacing=1.5)
    axis.minorticks_off()
    axis.grid(axis="x", color=PALE, lw=0.5)
    axis.spines["left"].set_visible(False)
    return fig


def _three(value):
    """A number with three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


# ---- recordings of events


@styled
def events_raster(events: Events, recording: int = 0, title: str = "", most: int = 200_000) -> Figure:
    """A recording over time: units, or for a camera the rows of pixels, one dot an event.

    most: of more events than this every k-th is drawn.
    """
    part = events[recording]
    every = max(1, -(-part.n_events // most))
    seconds = part.t[::every].astype(np.float64) * part.tick
    fig, axis = figure(8, 4.2)
    size = np.clip(40_000 / max(len(seconds), 1), 0.15, 6)
    if len(part.shape) == 1:
        axis.scatter(seconds, part.unit[::every], s=size, c=INK, lw=0)
        axis.set_ylabel("unit")
    else:
        _, _, row, polarity = part.columns
        # one scatter in the order of time, so that neither polarity lies on top
        colours = np.array(COLOURS)[np.where(polarity[::every] > 0, 0, 1)]
        axis.scatter(seconds, row[::every], s=size, c=colours, lw=0)
        for colour, name in zip(COLOURS, ("brighter", "darker"), strict=False):
            axis.scatter([], [], s=14, c=colour, lw=0, label=name)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        axis.set_ylabel("row")
        axis.invert_yaxis()
    axis.set(xlabel="time (s)", title=title + f" (every {every}th event)" * (every > 1))
    return fig


@styled
def event_frames(events: Events, recording: int = 0, title: str = "", frames: int = 8) -> Figure:
    """A camera recording as pictures of equal parts of its time: brighter blue, darker red."""
    part = events[recording]
    pictures = part.frames(n=frames)[:, 0]
    net = pictures[:, -1] - (pictures[:, 0] if part.shape[0] == 2 else 0)
    limit = max(float(np.quantile(np.abs(net), 0.998)), 1.0)
    rows = 1 if frames <= 4 else 2
    columns = -(-frames // rows)
    height_of_row = 8 / columns * min(part.shape[1] / part.shape[2], 2) + 0.2
    fig, axes = figure(8, rows * height_of_row + 0.3, rows, columns, squeeze=False)
    start = float(part.t[0]) * part.tick if part.n_events else 0.0
    step = float(part.durations[0]) / frames
    for i, axis in enumerate(axes.flat):
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        if i < frames:
            axis.imshow(net[i], cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
            axis.set_title(f"{1e3 * (start + i * step):.0f} ms", fontsize=8)
    fig.suptitle(title, fontsize=10)
    return fig


@styled
def time_surface(events: Events, recording: int = 0, title: str = "", tau: float | None = None) -> Figure:
    """When each pixel last saw an event, exp(-(t_end - t) / tau): brighter blue, darker red.

    tau: seconds; None: a tenth of the time.
    """
    part = events[recording]
    p, height, width = part.shape
    tau = tau or max(float(part.durations[0]) / 10, part.tick)
    last = np.full(p * height * width, -np.inf)
    if part.n_events:
        # later events overwrite earlier ones
        last[part.unit] = (part.t.astype(np.float64) - float(part.t[-1])) * part.tick
    surface = np.exp(last.reshape(p, height, width) / tau)
    value = surface[0] if p == 1 else np.where(surface[1] >= surface[0], surface[1], -surface[0])
    fig, axis = figure(5.4, 4.4)
    image = axis.imshow(value, cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
    axis.set(xticks=[], yticks=[], title=title)
    axis.spines[:].set_visible(False)
    bar = fig.colorbar(image, ax=axis, shrink=0.8, aspect=30, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["darker, now", "long ago", "brighter, now"])
    bar.outline.set_visible(False)
    return fig


EVENT_PLOTS = {"raster": events_raster, "frames": event_frames, "surface": time_surface}

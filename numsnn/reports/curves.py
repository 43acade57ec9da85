"""Pictures of a training and of what it led to: curves, confusion, answers, rates, parameters, energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..checked import MOST, checked, in_range
from ..training.history import History
from ..training.metrics import scores
from .style import COLOURS, INK, PALE, figure, finite, numbers, plain, styled, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..energy.comparison import Table

MOST_DOTS = 20_000
MOST_NAMED = 50             # classes whose names are all written
MOST_NUMBERED = 25          # classes with numbers in the cells


@styled
@checked
def training_curve(history: History, title: str = "") -> Figure:
    """Loss over the epochs of a `History`, and the accuracies of its sets, or their losses.

    The chosen epoch is marked.
    """
    if not isinstance(history, History):
        raise TypeError(f"training_curve draws a History, as fit returns it; got {type(history).__name__}")
    if not len(history):
        raise ValueError("training_curve draws the epochs of a History; this one has none")
    keys = list(history.epochs[0])
    metric = "accuracy" if any(key.endswith("_accuracy") for key in keys) else "loss"
    names = [key for key in keys if key.endswith(f"_{metric}")]
    fig, axes = figure(8 if names else 4.2, 3.2, 1, 2 if names else 1, squeeze=False)
    epochs = np.arange(1, len(history) + 1)
    _curve(axes[0, 0], epochs, history["loss"], COLOURS[0])
    axes[0, 0].set_ylabel("training loss")
    if names:
        _sets(axes[0, 1], epochs, history, names, metric)
    for axis in axes[0]:
        axis.set(xlabel="epoch", xlim=(1, max(2, len(history))))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(axis="y", color=PALE, lw=0.5)
    fig.suptitle(plain(title), fontsize=10, x=0.01, ha="left")
    return fig


def _sets(axis, epochs, history, names, metric):
    """What was measured on each set, and the epoch that was chosen."""
    for i, name in enumerate(names):
        _curve(axis, epochs, history[name], COLOURS[i % len(COLOURS)], name.removesuffix(f"_{metric}"))
    best, key = history.best(), f"valid_{metric}"
    if best is not None and key in best:
        chosen = best["epoch"] + 1
        axis.axvline(chosen, color=INK, lw=0.8, ls=":")
        axis.plot(chosen, best[key], "o", color=INK, ms=4, label=f"chosen: epoch {chosen}", clip_on=False,
                  zorder=3)
    axis.set_ylabel(metric)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, columnspacing=1.2)


def _curve(axis, epochs, values, colour, label=None):
    """A line, logarithmic where it is a loss that falls to a tenth; one epoch is a dot."""
    y = np.array(values, float)
    axis.plot(epochs, y, marker="o" if len(epochs) == 1 else "", color=colour, lw=1.2, ms=3, label=label)
    known = y[np.isfinite(y)]
    if label is None and known.size and 0 < 10 * known.min() < known.max():
        axis.set_yscale("log")


@styled
@checked
def confusion(matrix: ArrayLike, classes: Sequence[str] | None = None, title: str = "") -> Figure:
    """Confusion matrix: shares of each true class in percent, with the F1 of the class beside its name.

    matrix: (n, n) counts, row the true class.  classes: n names; None: numbers.  Of more than 25 classes the
    cells have no numbers, of more than 50 only some are named.
    """
    counts = finite("a confusion matrix", matrix, None, None)
    n = len(counts)
    if not n or counts.shape != (n, n) or (counts < 0).any():
        raise ValueError(f"a confusion matrix is square, (classes, classes), and holds counts; "
                         f"got shape {counts.shape}{' with negative numbers' * bool((counts < 0).any())}")
    names = text_of("classes", [str(i) for i in range(n)] if classes is None else classes, n)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cell = min(0.5, 8 / n)
    fig, axis = figure(2.2 + 1.1 * cell * n, 1.2 + cell * n)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if n <= MOST_NUMBERED:
        _percents(axis, counts, share)
    _class_names(axis, names, scores(counts)["f1"])
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(plain(title), loc="left", x=0)
    axis.spines[:].set_visible(False)
    if n <= MOST_NAMED:
        axis.set_xticks(np.arange(-0.5, n), minor=True)
        axis.set_yticks(np.arange(-0.5, n), minor=True)
        axis.grid(which="minor", color="white", lw=1.5 if n <= MOST_NUMBERED else 0.6)
    axis.tick_params(which="both", length=0)
    bar = fig.colorbar(image, ax=axis, fraction=0.046, pad=0.03, aspect=30)
    bar.set_label("% of the true class")
    bar.set_ticks([0, 0.5, 1], labels=["0", "50", "100"])
    bar.outline.set_visible(False)
    return fig


def _percents(axis, counts, share):
    for i, j in zip(*np.nonzero(counts), strict=True):
        percent = f"{100 * share[i, j]:.0f}" if share[i, j] >= 0.005 else "<1"
        colour = "white" if share[i, j] > 0.6 else INK
        axis.text(j, i, percent, ha="center", va="center", fontsize=7 if len(share) > 12 else 8,
                  color=colour)


def _class_names(axis, names, f1):
    """The names at both axes, slanted where they are long; of many classes every k-th."""
    n = len(names)
    shown = range(0, n, -(-n // MOST_NAMED))
    longest = max(map(len, names))
    slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if longest > 5 else {}
    upright = {"rotation": 90} if n > MOST_NUMBERED else slanted
    size = 8 if n <= MOST_NUMBERED else 6.5
    axis.set_xticks(shown, [names[i] for i in shown], fontsize=size, **upright)
    axis.set_yticks(shown, [f"{names[i]}   F1 {f1[i]:.2f}" for i in shown], fontsize=size)


@styled
@checked
def answers(target: ArrayLike, answer: ArrayLike, title: str = "",
            names: Sequence[str] | None = None) -> Figure:
    """Answers over targets, both (n, K) real numbers: a dot each, and the line where they are equal.

    Of more than 20,000 evenly spaced ones are drawn.  names: of the K values, the first 6 of which are drawn.
    """
    target = finite("target", target, None, None)
    answer = finite("answer", answer, *target.shape)
    n, k = target.shape
    if not n or not k:
        raise ValueError(f"there is nothing to draw: target has the shape {target.shape}")
    labels = [f"value {i + 1}" for i in range(k)] if names is None else text_of("names", names, k)
    columns = min(k, 3)
    rows = -(-min(k, 6) // columns)
    fig, axes = figure(0.6 + 3.1 * columns, 0.5 + 3 * rows, rows, columns, squeeze=False)
    chosen = np.unique(np.linspace(0, n - 1, min(n, MOST_DOTS)).astype(int))
    for i, axis in enumerate(axes.flat):
        if i >= k:
            axis.set_visible(False)
            continue
        x, y = target[:, i].astype(float), answer[:, i].astype(float)
        low, high = min(x.min(), y.min()), max(x.max(), y.max())
        axis.scatter(x[chosen], y[chosen], s=np.clip(4_000 / n, 1, 12), color=COLOURS[0], alpha=0.5, lw=0)
        axis.plot([low, high], [low, high], color=INK, lw=0.8, ls=":", label="equal")
        off = np.sqrt(np.mean((x - y) ** 2))
        axis.set(xlabel="target", ylabel="answer", aspect="equal", adjustable="datalim")
        axis.set_title(f"{labels[i]}: RMSE {off:.3g}", fontsize=9)
    fig.suptitle(plain(title), fontsize=10)
    return fig


@styled
@checked
def rates(of_neurons: Mapping[str, ArrayLike], title: str = "") -> Figure:
    """Spikes per step of the neurons of each layer, as a histogram; how many never, or always, spike.

    of_neurons: name -> the mean rate of each neuron over all steps and samples, 0 to 1.
    """
    if not of_neurons:
        raise ValueError("rates needs the rates of one layer or more; got none")
    found = {name: finite(f"the rates of {name}", np.ravel(a), None) for name, a in of_neurons.items()}
    fig, axes = figure(7, 0.7 + 1.35 * len(found), len(found), 1, squeeze=False, sharex=True)
    edges = np.linspace(0, max(1e-3, *(float(rate.max(initial=0)) for rate in found.values())), 41)
    for (name, rate), axis in zip(found.items(), axes[:, 0], strict=True):
        axis.stairs(*np.histogram(rate, edges), fill=True, color=COLOURS[0], lw=0)
        mean = float(rate.mean()) if len(rate) else 0.0
        axis.axvline(mean, color=COLOURS[1], lw=1.2, ls="--")
        axis.set(ylabel="neurons", xlim=(0, edges[-1]))
        axis.yaxis.get_major_locator().set_params(integer=True, nbins=4)
        silent, always = int((rate == 0).sum()), int((rate >= 1).sum())
        axis.set_title(f"{plain(name)}: {len(rate):,} neurons, mean {mean:.4f} (dashed); "
                       f"{silent:,} never spike, {always:,} always", loc="left", fontsize=8)
    axes[-1, 0].set_xlabel("spikes per step")
    fig.suptitle(plain(title), fontsize=10)
    return fig


@styled
@checked
def parameters(arrays: Mapping[str, ArrayLike], title: str = "", most: int = 24) -> Figure:
    """A histogram of each array of parameters, name -> array; of more than `most` the first ones."""
    if not arrays:
        raise ValueError("parameters needs one array or more; got none")
    in_range(1, MOST, most=most)
    shown = {name: numbers(name, np.ravel(a), None) for name, a in list(arrays.items())[:most]}
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    fig, axes = figure(0.4 + 2.2 * columns, 0.5 + 1.5 * rows, rows, columns, squeeze=False)
    for axis in axes.flat[len(shown):]:
        axis.set_visible(False)
    for (name, values), axis in zip(shown.items(), axes.flat, strict=False):
        good = values[np.isfinite(values)]
        bars = np.histogram(good, 40 if len(good) > 200 else 20)
        axis.stairs(*bars, fill=True, color=COLOURS[0], lw=0)
        axis.yaxis.get_major_locator().set_params(integer=True, nbins=3)
        axis.xaxis.get_major_locator().set_params(nbins=3)
        axis.ticklabel_format(axis="x", scilimits=(-2, 4))
        bad = f", {len(values) - len(good):,} NaN or infinite" * (len(good) < len(values))
        axis.set_title(f"{plain(name)}\n{_in_words(good)}{bad}", fontsize=7.5)
    more = len(arrays) - len(shown)
    part = f" (the first {len(shown)} of {len(arrays)} arrays)" * bool(more)
    fig.suptitle(plain(title) + part, fontsize=10)
    return fig


def _in_words(values):
    if not len(values):
        return "no value"
    if np.ptp(values) == 0:
        return f"{len(values):,} x {values[0]:.4g}"
    return f"{len(values):,}: {values.mean():.3g} \u00b1 {values.std():.2g}"


@styled
@checked
def by_setting(groups: Mapping[str, Sequence[float]], what: str = "test accuracy", title: str = "") -> Figure:
    """A dot for each run, in a row for each setting, and a line at the median of each row.

    groups: setting -> what its runs (seeds) reached, at least one each.  what: the name of that number.
    """
    rows = {plain(name): finite(f"the runs of {name}", values, None) for name, values in groups.items()}
    if not rows or not all(len(values) for values in rows.values()):
        raise ValueError("by_setting draws at least one run of each setting; a setting here has none")
    fig, axis = figure(6.4, 0.9 + 0.32 * len(rows))
    for place, values in enumerate(rows.values()):
        ordered = np.sort(values)
        beside = place + 0.12 * (np.arange(len(ordered)) % 3 - (1 if len(ordered) > 2 else 0))
        axis.plot(ordered, beside, "o", ms=4, color=COLOURS[0], alpha=0.75, mew=0, clip_on=False)
        axis.plot([np.median(values)] * 2, [place - 0.32, place + 0.32], color=COLOURS[1], lw=2)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set(xlabel=f"{what} (line: median)", ylim=(len(rows) - 0.5, -0.5))
    axis.grid(axis="x", color=PALE, lw=0.5)
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)
    axis.set_title(plain(title), loc="left", x=0)
    return fig


@styled
@checked
def energy(table: Table, title: str = "") -> Figure:
    """A `Table` of numsnn.energy: energy of an inference of the network and of others of its size.

    Beside each of the others stands its ratio to the network.
    """
    from ..energy.comparison import Table
    from ..energy.count import UNITS, unit
    if not isinstance(table, Table):
        raise TypeError(f"energy draws what ns.energy.table gives; got {type(table).__name__}")
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
    axis.set_yticks(range(n), [f"{plain(peer.name)}\n{peer.parameters:,} parameters" for peer in table.peers])
    axis.tick_params(axis="y", length=0)
    if not title:
        title = f"{table.name}: {table.sizes}" if len(table.name + table.sizes) < 60 else table.name
    smallest = 10 ** np.floor(np.log10(width.min()) - 0.15)
    axis.set(xscale="log", ylim=(n - 0.45, -0.55), xlim=(smallest, width.max() * 6), title=plain(title))
    what = f"energy of an inference of {table.steps:,.0f} steps ({scale})"
    axis.set_xlabel(f"{what}\n{table.constants}", linespacing=1.5)
    axis.minorticks_off()
    axis.grid(axis="x", color=PALE, lw=0.5)
    axis.spines["left"].set_visible(False)
    return fig


def _three(value):
    """A number with three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"

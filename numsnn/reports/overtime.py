"""Pictures of what happens over time: spikes, membranes, values, labels; one sequence with all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked, what_it_is
from .style import COLOURS, INK, PALE, axis_of_time, figure, finite, numbers, plain, step_of, styled, text_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 1000             # rows of ticks in a raster; of more units the share that spikes is drawn
SHOWN = 8               # pictures side by side
LINES = 8               # values that are drawn as lines; more are an image
HATCHES = ("", "///", "...", "xxx", "+++", "ooo", "\\\\\\", "---")
Neuron = tuple[str, np.ndarray, np.ndarray, np.ndarray | None]
Panel = tuple[float, Callable[[Any], Any]]          # height, and what draws on the axis


@styled
def raster(axis: Axes, time: ArrayLike, spikes: ArrayLike, colours: Sequence[str] | None = None,
           names: Sequence[str] | None = None) -> None:
    """Spikes (T, N) as ticks, one row a unit, the first on top.

    colours, names: one for each unit.  Of more than 1000 units neighbours share a row, whose grey is the
    share of them that spikes.
    """
    time = axis_of_time(time)
    fired: np.ndarray = numbers("spikes", spikes, len(time), None) != 0
    n = fired.shape[1]
    if not n:
        raise ValueError("a raster needs spikes of one unit or more; got shape (T, 0)")
    of_units = [INK] * n if colours is None else text_of("colours", colours, n)
    if n > ROWS:
        _density(axis, time, fired)
    else:
        _ticks(axis, time, fired, of_units)
    axis.set_ylim(n - 0.4, -0.6)
    if names is not None:
        axis.set_yticks(range(n), text_of("names", names, n))
    else:
        axis.set_yticks([0, n - 1] if n > 1 else [0], ["1", str(n)] if n > 1 else ["1"])


def _ticks(axis, time, spikes, colours):
    """One line a spike, at least two points high whatever the number of rows."""
    from matplotlib.collections import LineCollection
    at, unit = np.nonzero(spikes)
    points = axis.get_window_extent().height * 72 / axis.figure.dpi
    half = max(0.4, spikes.shape[1] / max(points, 1))
    ends = np.stack([np.column_stack([time[at], unit + side]) for side in (-half, half)], 1)
    axis.add_collection(LineCollection(list(ends), linewidths=0.7, colors=[colours[i] for i in unit]))
    _whole_time(axis, time)


def _density(axis, time, spikes):
    """Units in groups of neighbours: the share of each group that spikes."""
    n = spikes.shape[1]
    edges = np.linspace(0, n, 301).astype(int)
    share = np.add.reduceat(spikes, edges[:-1], 1, dtype=np.float32) / np.diff(edges)
    axis.imshow(share.T, cmap="Greys", vmin=0, aspect="auto", interpolation="nearest",
                extent=(*_bounds(time)[[0, -1]], n - 0.5, -0.5))
    _whole_time(axis, time)


def _bounds(time):
    """(T + 1,) between which times each step lies; its own time is in the middle."""
    half = step_of(time) / 2
    return np.append(time - half, time[-1] + half)


def _whole_time(axis, time):
    """All of the first and the last step."""
    axis.set_xlim(*_bounds(time)[[0, -1]])


@styled
@checked
def traces(axis: Axes, time: ArrayLike, values: ArrayLike, names: Sequence[str] | None = None) -> None:
    """Real numbers (T, N) over time: up to 8 as lines, with a legend of their names; more as an image."""
    time = axis_of_time(time)
    values = finite("values", values, len(time), None)
    n = values.shape[1]
    labels = None if names is None else text_of("names", names, n)
    _whole_time(axis, time)
    if n > LINES:
        smallest, largest = float(values.min()), float(values.max())
        image = axis.imshow(values.T, cmap="cividis", aspect="auto", interpolation="nearest",
                            extent=(*_bounds(time)[[0, -1]], n - 0.5, -0.5))
        axis.set_yticks([0, n - 1], ["1", str(n)])
        beside = axis.inset_axes((1.01, 0, 0.012, 1))       # leaves the axes of all parts the same width
        axis.figure.colorbar(image, cax=beside, ticks=[smallest, largest], format="%.3g")
        return
    marker = "o" if len(time) == 1 else ""
    for i in range(n):
        axis.plot(time, values[:, i], marker=marker, color=COLOURS[i], lw=0.9, ms=3,
                  label=None if labels is None else labels[i])
    if labels is not None:
        _legend_above(axis, n)


def _legend_above(axis, columns):
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, borderaxespad=0, handlelength=1.5)


@styled
@checked
def pictures(axis: Axes, time: ArrayLike, x: ArrayLike) -> None:
    """Pictures (T, channels, rows, columns) over time: the sums of up to 8 equal parts of it, side by side.

    Of two channels the second less the first, blue and red: an event camera's brighter and darker.  Colours
    end where nine tenths of the pixels that are not 0 are within them.
    """
    time = axis_of_time(time)
    x = finite("pictures", x, len(time), None, None, None)
    parts = np.array_split(x, min(SHOWN, len(time)))
    two = x.shape[1] == 2
    sums = np.stack([a.sum(0, dtype=float) for a in parts])
    shown = sums[:, 1] - sums[:, 0] if two else sums.sum(1)
    there = np.abs(shown[shown != 0])
    limit = float(np.quantile(there, 0.9, method="higher")) if there.size else 1.0
    low = -limit if two else min(0.0, float(shown.min()))
    bounds = _bounds(time)[np.cumsum([0, *map(len, parts)])]
    for picture, start, end in zip(shown, bounds, bounds[1:], strict=False):
        gap = 0.02 * (end - start)
        axis.imshow(picture, cmap="RdBu" if two else "Greys", vmin=low, vmax=limit, aspect="auto",
                    interpolation="nearest", extent=(start + gap, end - gap, 0, 1))
    axis.set(yticks=[], ylim=(0, 1))
    _whole_time(axis, time)


@styled
def membrane(axis: Axes, time: ArrayLike, v: ArrayLike, theta: ArrayLike,
             spikes: ArrayLike | None = None) -> None:
    """A membrane potential with its threshold; spikes as marks on top.  All are (T,).

    Where on one scale either of them would be flat, though it moves, the threshold gets a scale of its own on
    the right.
    """
    time = axis_of_time(time)
    v, theta = finite("v", v, len(time)), finite("theta", theta, len(time))
    fired = np.zeros(len(time), bool) if spikes is None else numbers("spikes", spikes, len(time)) != 0
    marker = "o" if len(time) == 1 else ""
    axis.plot(time, v, marker=marker, color=COLOURS[0], lw=0.9, ms=3, label="membrane v")
    name = "threshold \u03b8" + " (does not move)" * bool(np.ptp(theta) <= 1e-6 * np.ptp(v))
    if _needs_own_scale(v, theta):
        _own_scale(axis, time, v, theta, marker)
        axis.plot([], [], color=COLOURS[1], lw=1.1, label=f"{name}, right scale")
        top = v.max()
    else:
        axis.fill_between(time, v, theta, where=v > theta, color=COLOURS[1], alpha=0.35, lw=0)
        axis.plot(time, theta, marker=marker, color=COLOURS[1], lw=1.1, ms=3, label=name)
        top = max(v.max(), theta.max())
    if fired.any():
        height = top + 0.08 * (top - axis.get_ylim()[0])
        axis.plot(time[fired], np.full(fired.sum(), height), "|", color=INK, ms=6, mew=0.9, label="spike")
    _whole_time(axis, time)
    _legend_above(axis, 3)


def _needs_own_scale(v, theta):
    """Whether one of the two moves by little of what both span together, and so would be a flat line."""
    together = max(v.max(), theta.max()) - min(v.min(), theta.min())
    moves_v, moves_theta = np.ptp(v), np.ptp(theta)
    flat_v = 0 < moves_v < 0.1 * together
    flat_theta = 1e-6 * moves_v < moves_theta < 0.04 * together
    return bool(flat_v or flat_theta)


def _own_scale(axis, time, v, theta, marker):
    """The threshold on a scale on the right.

    Where the membrane never reaches it the two stand one above the other, as they are; where it does, a
    dotted line shows on the membrane's scale about where the threshold is.
    """
    own = axis.twinx()
    own.plot(time, theta, marker=marker, color=COLOURS[1], lw=1.1, ms=3)
    own.tick_params(axis="y", colors=COLOURS[1])
    own.spines["right"].set(visible=True, color=COLOURS[1])
    own.yaxis.get_major_locator().set_params(nbins=4)
    below, above = (v < theta).all(), (v > theta).all()
    room_v, room = np.ptp(v) or 1.0, np.ptp(theta) or abs(theta[0]) or 1.0
    if below or above:
        apart, near = (1.0, 0.1) if below else (0.1, 1.0)
        axis.set_ylim(v.min() - near * room_v, v.max() + apart * room_v)
        own.set_ylim(theta.min() - 2 * apart * room, theta.max() + 2 * near * room)
    else:
        axis.axhline(theta.mean(), color=COLOURS[1], lw=0.6, ls=":")
        own.set_ylim(theta.min() - 0.15 * room, theta.max() + 1.5 * room)


@styled
def label_bands(axis: Axes, time: ArrayLike, rows: Mapping[str, ArrayLike], classes: Sequence[str]) -> None:
    """Coloured bands of class labels over time, one row for each entry of `rows` (name -> (T,) labels).

    A negative label is none, and grey.  The legend has the classes that occur, the first 64 of them.  Up to 8
    classes have a colour each; of more those that occur have, past the eighth once more, hatched.
    """
    from matplotlib.patches import Patch
    time = axis_of_time(time)
    labels = {name: _labels(name, row, len(time), len(classes)) for name, row in rows.items()}
    if not labels:
        raise ValueError("label_bands needs one row of labels or more; got none")
    occur = np.unique(np.concatenate(list(labels.values())))
    known = [c for c in occur.tolist() if c >= 0]
    in_order = range(len(classes)) if len(classes) <= len(COLOURS) else known
    look: dict[int, dict[str, Any]]
    look = {c: {"facecolor": COLOURS[i % len(COLOURS)], "hatch": HATCHES[i // len(COLOURS) % len(HATCHES)],
                "edgecolor": "white", "lw": 0} for i, c in enumerate(in_order)}
    look[-1] = {"facecolor": PALE, "lw": 0}
    for y, row in enumerate(labels.values()):
        _bands(axis, time, row, y, look)
    axis.set_yticks(range(len(rows)), [plain(name) for name in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    _whole_time(axis, time)
    patches = [Patch(**look[c], label=plain(classes[c])) for c in known[:8 * len(HATCHES)]]
    patches += [Patch(**look[-1], label="no label")] * (-1 in occur)
    axis.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.1), handlelength=1.4,
                ncols=_columns([patch.get_label() for patch in patches]), columnspacing=1.2)


def _labels(name, row, steps, n_classes):
    """(T,) labels that all have a class; -1 for none."""
    row = numbers(f"the labels {name!r}", row, steps)
    if row.dtype.kind not in "iu" or row.max() >= n_classes:
        raise ValueError(f"the labels {name!r} must be integers below {n_classes}, the number of classes; "
                         f"got {row.dtype} up to {row.max()}")
    return np.maximum(row.astype(np.int64), -1)


def _bands(axis, time, labels, y, look):
    """One band for each run of equal labels, of every label at once."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    first, last = np.array([0, *edges]), np.array([*edges, len(labels)])
    ends = _bounds(time)
    for c in np.unique(labels):
        spans = [(ends[a], ends[b] - ends[a])
                 for a, b in zip(first, last, strict=True) if labels[a] == c]
        axis.broken_barh(spans, (y - 0.4, 0.8), **look[int(c)])


def _columns(names):
    """Of a legend below a figure nine inches wide: what fits beside each other."""
    wide = 0.45 + 0.075 * max(map(len, names), default=1)
    return max(1, min(len(names), int(8 / wide)))


class _Part(NamedTuple):
    label: str
    height: float
    draw: Callable[..., None]           # (axis, *arguments)
    arguments: tuple
    spikes: bool = False


@styled
@checked
def sequence(time: ArrayLike, inputs: ArrayLike | None, hidden: ArrayLike | Mapping[str, np.ndarray] | None,
             neuron: Neuron | Sequence[Neuron] | None = None, labels: Mapping[str, ArrayLike] | None = None,
             classes: Sequence[str] = (), *, input_names: Sequence[str] | None = None, title: str = "",
             unit: str = "s", values: Mapping[str, Any] | None = None) -> Figure:
    """One sequence through a network: input, hidden spikes, membranes with their thresholds, labels.

    time: (T,), in `unit`.  inputs: (T, N) spikes, or real numbers; or pictures (T, channels, rows, columns).
    hidden: (T, N) spikes, or name -> (T, N)
    for several populations.  neuron: (name, v (T,), theta (T,), spikes (T,) or None), or several, each of
    which has axes and a scale of its own.  labels: name -> (T,), such as {"true": ..., "predicted": ...}; a
    negative label is none.  values: name -> (T, N) real numbers, or name -> {name of a line -> (T,)}.
    What is None, or empty, is left out.
    """
    for what, named in (("labels", labels), ("values", values)):
        if named is not None and not isinstance(named, Mapping):
            raise TypeError(f"{what} must be a dict, name -> array over time; got {what_it_is(named)}")
    time = axis_of_time(time)
    parts = [*_of_inputs(time, inputs, input_names), *_of_hidden(time, hidden),
             *_of_neurons(time, neuron),
             *(_Part(name, 1.4, traces, (time, *_named(a))) for name, a in (values or {}).items())]
    if labels:
        parts.append(_Part("", 0.25 + 0.3 * len(labels), label_bands, (time, labels, classes)))
    return _stacked(parts, time, title, f"time ({unit})")


def _stacked(parts, time, title, xlabel):
    """Parts below each other, on one axis of time."""
    if not parts:
        raise ValueError("a sequence needs inputs, hidden spikes, a neuron, values or labels; got none")
    heights = [part.height for part in parts]
    fig, axes = figure(9, 0.9 + sum(heights), len(parts), 1, sharex=True, squeeze=False,
                       height_ratios=heights)
    for part, axis in zip(parts, axes[:, 0], strict=True):
        part.draw(axis, *part.arguments)
        axis.set_ylabel(plain(part.label))
        if part.spikes:
            axis.spines["left"].set_visible(False)
            axis.tick_params(axis="y", length=0)
    last = axes[-1, 0]
    if parts[-1].draw is label_bands:
        _below(last)
    last.set_xlabel(plain(xlabel))
    if (time == np.rint(time)).all():
        last.xaxis.get_major_locator().set_params(integer=True)
    fig.align_ylabels(axes[:, 0])
    fig.suptitle(plain(title), fontsize=10)
    return fig


def _below(axis):
    """Put the legend of the bands below the label of the axis of time."""
    height = axis.get_window_extent().height * 72 / axis.figure.dpi
    axis.get_legend().set_bbox_to_anchor((0.5, -34 / max(height, 1)), transform=axis.transAxes)


def _of_inputs(time, inputs, names):
    if inputs is None:
        return []
    if np.ndim(inputs) == 4:
        x = finite("inputs", inputs, len(time), None, None, None)
        height = 8 / min(SHOWN, len(time)) * x.shape[2] / x.shape[3]
        return [_Part("input", min(height, 2.0), pictures, (time, x))]
    x = numbers("inputs", inputs, len(time), None)
    if not _are_spikes(x):
        return [_Part("input", 1.4, traces, (time, x, names))]
    in_turn = [COLOURS[i % 2] for i in range(x.shape[1])]
    return [_Part("input", 1.1 if x.shape[1] > 4 else 0.4 + 0.18 * x.shape[1], raster,
                  (time, x, in_turn, names), True)]


def _named(values):
    """(values (T, N), names of the lines or None)."""
    if not isinstance(values, dict):
        return values, None
    return np.stack([np.asarray(line) for line in values.values()], 1), list(values)


def _of_hidden(time, hidden):
    if hidden is None:
        return []
    if not isinstance(hidden, Mapping):
        hidden = {"hidden neuron": hidden}
    height = 2.4 if len(hidden) == 1 else 1.5
    return [_Part(name, height, raster, (time, spikes), True) if _are_spikes(np.asarray(spikes))
            else _Part(name, height, traces, (time, spikes)) for name, spikes in hidden.items()]


def _of_neurons(time, neuron):
    """A part for each neuron, and so a scale for each."""
    if neuron is None:
        return []
    neurons = [neuron] if isinstance(neuron, tuple) and isinstance(neuron[0], str) else list(neuron)
    wrong = next((one for one in neurons if not isinstance(one, (tuple, list)) or len(one) != 4), None)
    if wrong is not None:
        raise ValueError(f"a neuron is (name, v, theta, spikes or None); got {type(wrong).__name__} "
                         f"of {len(wrong) if isinstance(wrong, (tuple, list)) else 'no'} parts")
    height = 2.0 if len(neurons) == 1 else 1.6
    return [_Part(name, height, membrane, (time, *rest)) for name, *rest in neurons]


def _are_spikes(x):
    """Whether values are spikes: integers, or nothing but 0, 1 and -1."""
    return x.dtype.kind in "biu" or bool(np.isin(x, (-1, 0, 1)).all())

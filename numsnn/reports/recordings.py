"""Pictures of recordings of events: `numsnn info --plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checked import checked, in_range
from ..layers.layer import positive_integer
from ..signals.events import Events
from ..signals.integers import is_whole
from .style import COLOURS, INK, figure, plain, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 0.9             # share of the active pixels whose counts lie within the scale of colours


@styled
@checked
def events_raster(events: Events, recording: int = 0, title: str = "", most: int = 200_000) -> Figure:
    """A recording over time: units, or for a camera the rows of pixels, one dot an event.

    most: of more events than this every k-th is drawn.
    """
    part = _recording(events, recording)
    every = max(1, -(-part.n_events // positive_integer(most, "most")))
    seconds, label = _times(part)
    seconds = seconds[::every]
    fig, axis = figure(8, 4.2)
    size = np.clip(40_000 / max(len(seconds), 1), 0.15, 6)
    if len(part.shape) == 1:
        axis.scatter(seconds, part.unit[::every], s=size, c=INK, lw=0)
        axis.set(ylabel="unit", ylim=(-0.5, part.shape[0] - 0.5))
    else:
        _, _, row, polarity = part.columns
        # one scatter in the order of time, so that neither polarity lies on top
        colours = np.array(COLOURS)[np.where(polarity[::every] > 0, 0, 1)]
        axis.scatter(seconds, row[::every], s=size, c=colours, lw=0)
        _polarities(axis, part)
        axis.set(ylabel="row of pixels", ylim=(part.shape[1] - 0.5, -0.5))
    axis.yaxis.get_major_locator().set_params(integer=True)
    if len(seconds) > 1 and seconds[-1] > seconds[0]:
        axis.set_xlim(seconds[0], seconds[-1])
    axis.set_xlabel(label)
    axis.set_title(plain(title) + f" (every {every}th event)" * (every > 1), loc="left")
    return fig


@styled
@checked
def event_frames(events: Events, recording: int = 0, title: str = "", frames: int = 8) -> Figure:
    """A camera recording as pictures of equal parts of its time: brighter blue, darker red.

    A pixel's colour is the number of its brighter less that of its darker events.  The scale ends where nine
    tenths of the active pixels are within it, so that a few hot pixels do not make all others pale; the
    picture says where it ends.
    """
    part = _of_pixels(events, recording, "event_frames")
    n = positive_integer(frames, "frames")
    in_range(1, 64, frames=n)
    pictures = part.frames(n=n)[:, 0]
    two = part.shape[0] == 2
    net = pictures[:, 1] - pictures[:, 0] if two else pictures[:, 0]
    counts = np.abs(net[net != 0])
    limit = float(np.quantile(counts, SHOWN, method="higher")) if counts.size else 1.0
    rows = 1 if n <= 4 else 2
    columns = -(-n // rows)
    height_of_row = 8 / columns * min(part.shape[1] / part.shape[2], 2) + 0.25
    fig, axes = figure(8, rows * height_of_row + 1.0, rows, columns, squeeze=False)
    seconds, label = _times(part)
    start = seconds[0] if len(seconds) else 0.0
    step = float(part.durations[0]) / n
    for i, axis in enumerate(axes.flat):
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        if i < n:
            image = _image(axis, net[i], limit, two)
            axis.set_title(_interval(start + i * step, start + (i + 1) * step), fontsize=8)
    _scale(fig, image, axes, counts, limit, two)
    fig.suptitle(plain(title) + _since(label), fontsize=10)
    return fig


@styled
@checked
def time_surface(events: Events, recording: int = 0, title: str = "", tau: float | None = None) -> Figure:
    """When each pixel last saw an event, exp(-(t_end - t) / tau): brighter blue, darker red.

    tau: seconds; None: a tenth of the time.
    """
    part = _of_pixels(events, recording, "time_surface")
    if tau is not None and not 0 < tau < np.inf:
        raise ValueError(f"tau must be a positive number of seconds, or None; got {tau!r}")
    p, height, width = part.shape
    tau = tau or max(float(part.durations[0]) / 10, part.tick)
    last = np.full(p * height * width, -np.inf)
    if part.n_events:
        # later events overwrite earlier ones
        last[part.unit] = (part.t.astype(np.float64) - float(part.t[-1])) * part.tick
    surface = np.exp(last.reshape(p, height, width) / tau)
    two = p == 2
    value = np.where(surface[-1] >= surface[0], surface[-1], -surface[0]) if two else surface[0]
    fig, axis = figure(5.4, 4.4)
    image = _image(axis, value, 1, two)
    axis.set(xticks=[], yticks=[], title=plain(title))
    axis.spines[:].set_visible(False)
    bar = fig.colorbar(image, ax=axis, shrink=0.8, aspect=30)
    bar.set_ticks([-1, 0, 1] if two else [0, 1])
    bar.ax.set_yticklabels(["darker, now", "long ago", "brighter, now"] if two else ["long ago", "now"])
    bar.set_label(f"fades with a time constant of {1e3 * tau:.3g} ms")
    bar.outline.set_visible(False)
    return fig


EVENT_PLOTS = {"raster": events_raster, "frames": event_frames, "surface": time_surface}


# ---- what they have in common


def _recording(events, recording):
    """One recording, checked."""
    if not isinstance(events, Events):
        raise TypeError(f"recordings are drawn from ns.Events; got {type(events).__name__}")
    if not is_whole(recording, least=0) or recording >= len(events):
        has = f"the recordings 0 to {len(events) - 1}" if len(events) else "no recordings"
        raise ValueError(f"the events have {has}; got recording {recording!r}")
    return events[int(recording)]


def _of_pixels(events, recording, name):
    part = _recording(events, recording)
    if len(part.shape) == 1:
        raise ValueError(f"{name} is for events of pixels; these are of {part.shape[0]} units, "
                         f"draw them with events_raster")
    return part


def _times(part):
    """(seconds of each event, label of the axis): a clock that began long before counts from the first."""
    if not part.n_events:
        return np.zeros(0), "time (s)"
    t = part.t.astype(np.float64) * part.tick
    first = t[0]
    if first <= 100 * max(t[-1] - first, part.tick):
        return t, "time (s)"
    since = (part.t - part.t[0]).astype(np.float64) * part.tick
    return since, f"time after the first event at {first:.3f} s (s)"


def _image(axis, value, limit, two):
    """Pixels as colours, of one or of two polarities."""
    colours, low = ("RdBu", -limit) if two else ("Greys", 0)
    return axis.imshow(value, cmap=colours, vmin=low, vmax=limit, interpolation="nearest")


def _since(label):
    return f" ({label.removeprefix('time ').removesuffix(' (s)')})" if "after" in label else ""


def _interval(start, end):
    digits = 0 if end - start >= 2e-3 else 2
    return f"{1e3 * start:.{digits}f} to {1e3 * end:.{digits}f} ms"


def _polarities(axis, part):
    """Which colour is which polarity."""
    if part.shape[0] == 1:
        return
    for colour, name in zip(COLOURS, ("brighter", "darker"), strict=False):
        axis.plot([], [], "o", color=colour, ms=4, label=name)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handletextpad=0.2)


def _scale(fig, image, axes, counts, limit, two):
    """The bar of colours, which says how many pixels lie beyond its ends."""
    beyond = float((counts > limit).mean()) if counts.size else 0.0
    ends = {0: "neither", 1: "max", 2: "both"}[bool(beyond) * (1 + two)]
    bar = fig.colorbar(image, ax=axes, location="bottom", fraction=0.04, aspect=60, extend=ends)
    bar.set_ticks([-limit, 0, limit] if two else [0, limit])
    what = "brighter less darker events of a pixel" if two else "events of a pixel"
    bar.set_label(what + f"; {100 * beyond:.1f} % of the active pixels are beyond" * bool(beyond), fontsize=8)
    bar.outline.set_visible(False)

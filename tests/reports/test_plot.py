"""Figures: they are drawn, hold what they should, and leave pyplot alone."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

import numsnn as ns
from numsnn.reports import plot
from numsnn.training.train import History


def test_training_curve_marks_the_best_epoch(tmp_path):
    history = History([{"epoch": i, "loss": 10.0 ** -i, "valid_accuracy": accuracy, "test_accuracy": 0.4}
                       for i, accuracy in enumerate((0.2, 0.9, 0.5))])
    fig = plot.training_curve(history, "title")
    left, right = fig.axes
    assert left.get_yscale() == "log"
    labels = [line.get_label() for line in right.get_lines()]
    assert [label for label in labels if not label.startswith("_")] == ["valid", "test", "chosen: epoch 2"]
    assert plot.save(fig, tmp_path / "a.png").stat().st_size > 5_000


def test_confusion_shows_the_share_of_each_true_class(tmp_path):
    fig = plot.confusion(np.array([[8, 2], [0, 400]]), ("a", "b"))
    assert {t.get_text() for t in fig.axes[0].texts} == {"80", "20", "100"}
    assert fig.axes[0].get_yticklabels()[1].get_text() == "b   F1 1.00"
    plot.save(fig, tmp_path / "c.png")


def test_sequence(tmp_path, rng):
    steps, labels = 200, np.repeat(np.arange(4), 50)
    v, theta = rng.normal(size=steps), np.full(steps, 0.5)
    fig = plot.sequence(np.arange(steps) / 250, rng.random((steps, 3)) < 0.1, rng.random((steps, 12)) < 0.2,
                        ("neuron", v, theta, v > theta), {"true": labels, "predicted": labels}, "abcd")
    assert len(fig.axes) == 4
    assert len(fig.axes[3].collections) == 8, "a band for each run of equal labels"
    assert plot.save(fig, tmp_path / "s.png").stat().st_size > 20_000


def test_pyplot_is_not_touched():
    code = ("import sys, numpy as np; from numsnn import plot; plot.confusion(np.eye(2), 'ab'); "
            "print('matplotlib.pyplot' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---- scales


def axes_of(draw, *arguments):
    fig, axis = plot.figure(4, 3)
    draw(axis, *arguments)
    return fig.axes


def test_a_membrane_far_from_its_threshold_has_a_scale_of_its_own():
    time = np.arange(50)
    wave = np.sin(time / 5)
    cases = {
        "alike": (wave, np.full(50, 0.5), False),
        "threshold moves little": (10 * wave, 0.01 + 1e-3 * wave, True),
        "small membrane": (1e-3 * wave, np.full(50, 1.0), True),
        "small membrane, moving threshold": (1e-3 * wave, 1 + 0.1 * wave, True),
        "membrane that does not move": (np.zeros(50), np.ones(50), False),
        "large membrane, threshold that does not move": (10 * wave, np.full(50, 0.01), False),
    }
    for name, (v, theta, two) in cases.items():
        axes = axes_of(plot.membrane, time, v, theta)
        assert len(axes) == 1 + two, name
        legend = [text.get_text() for text in axes[0].get_legend().get_texts()]
        assert legend[1].endswith("right scale") == two, name
        if two:
            low, high = axes[0].get_ylim()
            assert np.ptp(v) > 0.4 * (high - low), f"{name}: the membrane is flat"


def test_a_threshold_that_is_never_reached_is_never_crossed_in_the_picture():
    time = np.arange(50)
    v, theta = 1e-3 * np.sin(time), 1 - 0.2 * time / 50
    axis, own = axes_of(plot.membrane, time, v, theta)
    height = [ax.transAxes.inverted().transform(ax.transData.transform([(0, y) for y in values]))[:, 1]
              for ax, values in ((axis, v), (own, theta))]
    assert height[0].max() < height[1].min()


def test_each_neuron_has_axes_of_its_own(rng):
    v = rng.normal(size=30)
    neurons = [("a", v, np.ones(30), None), ("b", 1e3 * v, np.full(30, 1e3), v > 1)]
    fig = plot.sequence(np.arange(30), None, None, neurons)
    assert [axis.get_ylabel() for axis in fig.axes] == ["a", "b"]
    assert fig.axes[1].get_ylim()[1] > 100 * fig.axes[0].get_ylim()[1]


def test_hot_pixels_do_not_make_the_others_pale(rng):
    """Some pixels with thousands of events beside others with one or two."""
    n = 3000
    x, y = rng.integers(0, 40, n), rng.integers(2, 40, n)
    hot = np.repeat(np.arange(8), 2000)
    events = ns.Events.sorted(np.concatenate([rng.integers(0, 1000, n), rng.integers(0, 1000, 16_000)]),
                              x=np.concatenate([x, hot]), y=np.concatenate([y, np.zeros(16_000, int)]),
                              p=np.ones(n + 16_000, int), shape=(2, 40, 40))
    fig = plot.event_frames(events, frames=4)
    limits = {image.get_clim() for axis in fig.axes[:4] for image in axis.get_images()}
    assert len(limits) == 1 and max(limits.pop()) <= 3
    assert "% of the active pixels are beyond" in fig.axes[-1].get_xlabel()


def test_a_clock_that_began_long_ago_counts_from_the_first_event():
    events = ns.Events(1_633_953_690_976_000 + 1000 * np.arange(50), x=np.arange(50) % 4, y=np.arange(50) % 4,
                       p=np.arange(50) % 2, shape=(2, 4, 4))
    assert plot.events_raster(events).axes[0].get_xlim() == pytest.approx((0, 0.049))
    fig = plot.event_frames(events, frames=7)
    assert fig.axes[0].get_title() == "0 to 7 ms"
    assert "after the first event at 1633953690.976 s" in fig.get_suptitle()


@pytest.mark.parametrize("draw", plot.EVENT_PLOTS.values())
def test_recordings_of_none_of_one_and_of_one_polarity(draw):
    for t in ([], [5]):
        n = len(t)
        for p in (1, 2):
            draw(ns.Events(np.array(t, int), x=np.zeros(n, int), y=np.zeros(n, int), p=np.zeros(n, int),
                           shape=(p, 3, 5)))


# ---- short, long, unlabelled


def test_sequences_of_any_length_and_without_labels(rng, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for steps in (1, 2, 300):
            time, v = np.arange(steps) * 0.1, rng.normal(size=steps)
            for labels in (None, {}, {"true": np.full(steps, -1)}, {"true": rng.integers(-1, 20, steps)}):
                inputs, hidden = rng.random((steps, 3)) < 0.5, rng.random((steps, 1200)) < 0.1
                fig = plot.sequence(time, inputs, hidden, ("n", v, np.zeros(steps), v > 0), labels,
                                    [f"class {i}" for i in range(20)])
                assert len(fig.axes) == 3 + bool(labels)
                low, high = fig.axes[0].get_xlim()
                assert low < time[0] <= time[-1] < high, "no step lies on the edge"
        plot.save(fig, tmp_path / "a.png")


def test_a_step_without_label_is_grey_and_only_classes_that_occur_are_listed():
    (axis,) = axes_of(plot.label_bands, np.arange(6), {"true": [-1, 0, 0, 5, 5, -1]}, "abcdefghijkl")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "f", "no label"]
    looks = {(*band.get_facecolor()[0][:3],) for band in axis.collections}
    assert len(looks) == 3


def test_twenty_classes_all_look_different():
    (axis,) = axes_of(plot.label_bands, np.arange(20), {"true": np.arange(20)}, [str(i) for i in range(20)])
    looks = {(*band.get_facecolor()[0][:3], band.get_hatch()) for band in axis.collections}
    assert len(looks) == 20


def test_values_and_pictures(rng):
    fig = plot.sequence(np.arange(30), rng.normal(size=(30, 2)), {"lstm0": rng.normal(size=(30, 40))},
                        values={"answers": {"target": np.zeros(30), "answer": np.ones(30)}})
    assert [len(axis.get_lines()) for axis in fig.axes] == [2, 0, 2]
    widths = {axis.get_position().width for axis in fig.axes[:3]}
    assert len(widths) == 1, "one axis of time"
    fig = plot.sequence(np.arange(20), rng.integers(0, 2, (20, 2, 6, 8)), None)
    assert len(fig.axes[0].get_images()) == 8


@pytest.mark.parametrize("n", [1, 2, 30, 120])
def test_confusion_of_any_number_of_classes(n, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig = plot.confusion(rng.integers(0, 9, (n, n)), title="a title")
    assert max(fig.get_size_inches()) < 14
    assert len(fig.axes[0].get_yticklabels()) <= 50


def test_curves_of_one_epoch_of_losses_and_of_a_regression():
    one = plot.training_curve(ns.History([{"epoch": 0, "loss": 2.0}]))
    assert len(one.axes) == 1 and one.axes[0].get_lines()[0].get_marker() == "o"
    rows = [{"epoch": i, "loss": 1.0, "valid_loss": loss} for i, loss in enumerate((3, 1, 2))]
    right = plot.training_curve(ns.History(rows)).axes[1]
    assert right.get_ylabel() == "loss"
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["valid", "chosen: epoch 2"]


def test_rates_parameters_answers(rng):
    fig = plot.rates({"a": [0, 0, 0.5, 1.0], "b": np.full((2, 3), 0.25)})
    assert fig.axes[0].get_title(loc="left") == "a: 4 neurons, mean 0.3750 (dashed); 2 never spike, 1 always"
    assert fig.axes[1].get_title(loc="left").startswith("b: 6 neurons, mean 0.2500")
    arrays = {"w": rng.normal(size=(4, 3)), "tau": np.full(5, 20.0), "bad": [np.nan, 1.0]}
    fig = plot.parameters(arrays, most=2)
    assert fig.axes[1].get_title() == "tau\n5 x 20"
    assert "the first 2 of 3 arrays" in fig.get_suptitle()
    fig = plot.answers([[0.0, 1], [2, 3]], [[1.0, 1], [2, 3]])
    assert fig.axes[0].get_title() == "value 1: RMSE 0.707"


# ---- wrong arguments


STEPS = np.arange(5)
UNITS = ns.Events(np.arange(3), np.arange(3), shape=(4,))
PIXELS = ns.Events(np.arange(3), x=np.arange(3), y=np.arange(3), p=np.ones(3, int), shape=(2, 4, 4))
WRONG = {
    "history": (lambda: plot.training_curve([{"loss": 1}]), "draws a History.*got list"),
    "no epochs": (lambda: plot.training_curve(ns.History()), "this one has none"),
    "not square": (lambda: plot.confusion(np.ones((2, 3)), "ab"), r"square.*got shape \(2, 3\)"),
    "negative": (lambda: plot.confusion(-np.eye(2), "ab"), "negative numbers"),
    "nan": (lambda: plot.confusion(np.full((2, 2), np.nan), "ab"), "4 numbers that are not finite"),
    "names": (lambda: plot.confusion(np.eye(3), "ab"), "classes must hold 3 names; got 2"),
    "table": (lambda: plot.energy("table"), "ns.energy.table gives; got str"),
    "answers": (lambda: plot.answers(np.ones((3, 2)), np.ones((3, 1))), r"answer must be.*\(3, 2\)"),
    "rates": (lambda: plot.rates({}), "one layer or more"),
    "parameters": (lambda: plot.parameters({}), "one array or more"),
    "nothing": (lambda: plot.sequence(STEPS, None, None), "got none"),
    "no time": (lambda: plot.sequence([], None, None), "one time or more"),
    "time back": (lambda: plot.sequence([0, 0], np.eye(2), None), "which do not ascend"),
    "inputs": (lambda: plot.sequence(STEPS, np.ones((4, 2)), None), r"inputs must be.*\(5, any\).*\(4, 2\)"),
    "hidden": (lambda: plot.sequence(STEPS, None, np.ones((5, 2, 2))), r"spikes must be.*\(5, 2, 2\)"),
    "neuron": (lambda: plot.sequence(STEPS, None, None, ("n", STEPS, STEPS)), "a neuron is"),
    "v": (lambda: plot.sequence(STEPS, None, None, ("n", STEPS[1:], STEPS, None)), r"v must be.*\(4,\)"),
    "labels": (lambda: plot.sequence(STEPS, None, None, None, {"true": STEPS}, "abc"), "below 3.*up to 4"),
    "values": (lambda: plot.sequence(STEPS, None, None, values={"a": np.full((5, 1), np.inf)}), "not finite"),
    "events": (lambda: plot.events_raster(STEPS), "drawn from ns.Events; got ndarray"),
    "recording": (lambda: plot.events_raster(UNITS, 1), "the recordings 0 to 0; got recording 1"),
    "most": (lambda: plot.events_raster(UNITS, most=0), "most must be a positive integer"),
    "units": (lambda: plot.event_frames(UNITS), "is for events of pixels; these are of 4 units"),
    "frames": (lambda: plot.event_frames(PIXELS, frames=0), "frames must be a positive integer"),
    "tau": (lambda: plot.time_surface(PIXELS, tau=-1), "tau must be a positive number of seconds"),
    "figure": (lambda: plot.save("figure", "a.png"), "save writes a figure"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_are_told_in_a_sentence(what):
    draw, message = WRONG[what]
    with pytest.raises((ValueError, TypeError), match=message):
        draw()


def test_names_may_hold_dollars_and_powers_of_ten_are_formulas(tmp_path):
    fig = plot.confusion(np.eye(2), ["$\\wrong$", "$b"], title="a$_{b.dat$")
    plot.save(fig, tmp_path / "a.png")
    fig = plot.sequence(np.arange(3), None, {"$\\wrong$": np.eye(3)}, None, {"$_$": [0, 1, 1]}, ["$^$", "b"])
    plot.save(fig, tmp_path / "b.png")
    history = ns.History([{"epoch": i, "loss": 10.0 ** -i} for i in range(4)])
    fig = plot.training_curve(history, "$_$")
    plot.save(fig, tmp_path / "c.png")
    assert all(text.get_parse_math() for text in fig.axes[0].get_yticklabels())


def test_a_picture_that_cannot_be_written_leaves_what_is_there(tmp_path, monkeypatch):
    fig = plot.confusion(np.eye(2))
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere; make it first"):
        plot.save(fig, tmp_path / "nowhere" / "a.png")
    with pytest.raises(ValueError, match="cannot be written as 'doc'; the endings are .*png"):
        plot.save(fig, tmp_path / "a.doc")
    (tmp_path / "a.png").write_text("old")

    def fail(renderer):
        raise ValueError("cannot be drawn")
    monkeypatch.setattr(fig, "draw", fail)
    with pytest.raises(ValueError, match="cannot be drawn"):
        plot.save(fig, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "old"

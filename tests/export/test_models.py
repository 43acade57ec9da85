"""The trained networks of data/models: they load, run, and are what their reports say."""

import json
from pathlib import Path

import numpy as np
import pytest

import numsnn as ns
from numsnn.datasets import qtdb
from numsnn.export import export_c

FOLDER = Path(__file__).parents[2] / "data" / "models"
MODELS = sorted(path.stem for path in FOLDER.glob("*.h5"))


def report(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_they_are_there_and_small():
    assert MODELS == ["mnist-liaf", "spoken-digits", "srnn-ecg", "srnn-ecg-int4"]
    assert all((FOLDER / f"{name}.h5").stat().st_size < 300_000 for name in MODELS)
    said = (FOLDER / "README.md").read_text()
    for name in MODELS:
        found = report(name)
        accuracies = [found["test_accuracy"], found["int8"]["test_accuracy"], found["int4"]["test_accuracy"]]
        row = next(line for line in said.splitlines() if line.startswith(f"| `{name}` |"))
        assert " | ".join(f"{value:.4f}" for value in accuracies) in row
        assert f"{found['int8']['constants']:,} and {found['int4']['constants']:,}" in row


@pytest.mark.parametrize("name", MODELS)
def test_bytes_and_operations_are_those_of_the_report(name, rng, tmp_path):
    net = ns.load(FOLDER / f"{name}.h5", device="reference")
    x = (rng.random((8, 3, *net.input_shape)) < 0.2).astype(np.float32)
    for bits in (8, 4):
        small, said = ns.quantise(net, x, weights=bits), report(name)[f"int{bits}"]
        assert (small.report.constants, small.report.work) == (said["constants"], said["work"])
        assert {layer["name"] for layer in said["layers"]} <= set(net.layers)
    assert export_c(net, tmp_path, "net").files[1].stat().st_size > 1000


def test_srnn_ecg_on_the_real_test_set(data_folder):
    """141 sequences of 1300 steps, in floats and in whole numbers: what the report says."""
    train, test = (qtdb.coded(data_folder / "qtdb_coded", part) for part in ("train", "test"))
    net = ns.load(FOLDER / "srnn-ecg.h5", device="reference")
    said = report("srnn-ecg")
    assert round(ns.evaluate(net, test, rates=False).accuracy, 4) == said["test_accuracy"]
    whole = ns.quantise(net, train)
    assert round(ns.evaluate(whole, test, rates=False).accuracy, 4) == said["int8"]["test_accuracy"]

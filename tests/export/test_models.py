"""The trained networks of data/models: they load, run, and are what their reports say."""

import json
from pathlib import Path

import numpy as np
import pytest

import numsnn as ns
from numsnn.datasets import qtdb
from numsnn.export import export_c

FOLDER = Path(__file__).parents[2] / "data" / "models"
MODELS = sorted(ns.models.table())


def report(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize("name", MODELS)
def test_bytes_and_operations_are_those_of_the_report(name, rng, tmp_path):
    net = ns.models.load(name, device="reference")
    x = (rng.random((8, 3, *net.input_shape)) < 0.2).astype(np.float32)
    for bits in (8, 4):
        small, said = ns.quantise(net, x, weights=bits), report(name)[f"int{bits}"]
        assert (small.report.constants, small.report.work) == (said["constants"], said["work"])
        assert {layer["name"] for layer in said["layers"]} <= set(net.layers)
    assert export_c(net, tmp_path, "net").files[1].stat().st_size > 1000


def test_srnn_ecg_on_the_real_test_set(data_folder):
    """141 sequences of 1300 steps, in floats and in whole numbers: what the report says."""
    train, test = (qtdb.coded(data_folder / "qtdb_coded", part) for part in ("train", "test"))
    net = ns.models.load("srnn-ecg", device="reference")
    said = report("srnn-ecg")
    assert round(ns.evaluate(net, test, rates=False).accuracy, 4) == said["test_accuracy"]
    whole = ns.quantise(net, train)
    assert round(ns.evaluate(whole, test, rates=False).accuracy, 4) == said["int8"]["test_accuracy"]

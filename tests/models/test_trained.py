"""Trained networks: the table, the files of data/models, and what happens where one is damaged or missing."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import numsnn as ns
from numsnn import models

FOLDER = Path(__file__).parents[2] / "data" / "models"
NAMES = list(models.table())
LARGEST = 500_000


def made_by():
    spec = importlib.util.spec_from_file_location("make_models", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_of_the_files_and_the_page_is_of_the_table():
    assert sorted(NAMES) == sorted(path.stem for path in FOLDER.glob("*.h5"))
    make, rows = made_by(), json.loads(models.TABLE.read_text())
    assert set(NAMES) <= set(make.MODELS)
    assert make.as_markdown(rows) in (FOLDER / "README.md").read_text()
    for name in NAMES:
        found = json.loads((FOLDER / f"{name}.json").read_text())
        assert found["test_accuracy"] == rows[name]["test_accuracy"]
        assert found["int8"]["constants"] == rows[name]["constants"]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_read_and_is_what_the_table_says(name):
    net, said = ns.models.load(name, device="reference"), ns.models.about(name)
    assert said.size < LARGEST
    assert net.n_params == said.parameters
    populations = {key for key, layer in net.layers.items() if isinstance(layer, ns.Population)}
    assert set(said.spikes) <= populations


def test_a_damaged_file_is_refused(tmp_path):
    name = "ecg-brf"
    file = tmp_path / f"{name}.h5"
    shutil.copyfile(FOLDER / file.name, file)
    assert ns.models.load(name, folder=tmp_path).n_params == 1734
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ns.CheckpointError, match="not the network 'ecg-brf' that was measured: its SHA-256"):
        ns.models.load(name, folder=tmp_path)
    file.write_bytes(content[:1000])
    with pytest.raises(ns.CheckpointError, match=r"it has 1,000 bytes, not 24,171"):
        ns.models.load(name, folder=str(tmp_path))


def test_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="there is no trained network 'resnet'; there are srnn-ecg, "):
        ns.models.load("resnet")
    with pytest.raises(FileNotFoundError, match=r"looked for ecg-brf.h5 in .*anew with `numsnn train"):
        ns.models.load("ecg-brf", folder=tmp_path)
    with pytest.raises(ValueError, match="there is no trained network 3"):
        ns.models.load(3)


def test_ecg_adlif_on_the_real_test_set(data_folder):
    from numsnn.datasets import qtdb
    test = qtdb.coded(data_folder / "qtdb_coded", "test").select(np.arange(12))
    found = ns.evaluate(ns.models.load("ecg-adlif"), test)
    assert abs(found.accuracy - ns.models.about("ecg-adlif").test_accuracy) < 0.05

"""What gpu_day.sh runs can fail: its random networks find what is wrong; its summary keeps its length.

test_gpu_day.py runs this file in the simulator.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_compare import small  # noqa: F401

import numsnn as ns
from numsnn.devices.cuda import device as cuda
from numsnn.layers.factory import POPULATIONS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gpu_day"))
import drawn
import notes
import random_networks
import summary


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(notes, "SMALL", True)


def test_networks_are_drawn_from_their_number():
    """All models take part, and layers of all kinds."""
    nets = [drawn.network(seed, drawn.FEW).net for seed in range(5 * len(POPULATIONS))]
    layers = {type(layer).__name__ for net in nets for layer in net.layers.values()}
    others = {"Activation", "Add", "AvgPool2d", "BatchNorm", "Conv2d", "Delay", "DelayedDense", "Dropout",
              "Embedding", "LayerNorm", "MaxPool2d", "OverTime", "Scale", "SumPool2d", "TimeDistributed"}
    assert layers >= {*POPULATIONS, *others}
    delays = [getattr(layer, "delays", None) for net in nets for layer in net.layers.values()]
    assert {(d.axonal, d.kernels) for d in delays if d} == {(True, 1), (False, 1), (False, 2)}
    again = drawn.network(7, drawn.FEW)
    assert again.net.same_as(nets[7]) and np.array_equal(again.labels, drawn.network(7, drawn.FEW).labels)


@pytest.mark.parametrize("seed", [4, 6, 7])
def test_devices_agree(seed):
    found = random_networks.compared(seed)
    assert found["wrong"] == [] and found["twice"] and found["pieces"]
    assert 0 < found["gradient"] <= 1


def scaled(by):
    """dense_backward with wrong gradients of weights."""
    own = cuda.dense_backward

    def backward(*arguments):
        dweight, *others = own(*arguments)
        return dweight * by(), *others
    return backward


def test_a_wrong_gradient_is_found(monkeypatch):
    monkeypatch.setattr(cuda, "dense_backward", scaled(lambda: 1.0001))
    said, = random_networks.compared(4)["wrong"]
    assert said.startswith("gradients differ, most that of ")


def test_other_bytes_the_second_time_are_found(monkeypatch):
    factors = iter(1 + 1e-6 * np.arange(99))
    monkeypatch.setattr(cuda, "dense_backward", scaled(lambda: next(factors)))
    assert "other bytes the second time" in random_networks.compared(4)["wrong"]


def test_a_spike_that_flips_far_from_its_threshold_is_found(monkeypatch):
    own = cuda.dense_forward
    monkeypatch.setattr(cuda, "dense_forward", lambda *arguments: own(*arguments) * 1.5)
    found = random_networks.compared(4)
    assert found["flips"] and "a spike flips far from its threshold" in found["wrong"]


def test_the_first_of_several_flips():
    """In time and, in one step, in the order of the populations."""
    spikes = np.zeros((4, 2, 3))
    other = {"a": spikes.copy(), "b": spikes.copy()}
    other["a"][2, 0, 1] = other["b"][2, 0, 0] = other["b"][3, 1, 2] = other["a"][3, 1, 2] = 1
    other["b"][1, 1, 1] = 1
    here, there = ({name: {"spike": a} for name, a in of.items()}
                   for of in ({"a": spikes, "b": spikes}, other))
    found = random_networks.firsts(here, there, 2)
    assert [(name, t, b, list(which)) for name, t, b, which in found.values()] == [
        ("a", 2, 0, [False, True, False]), ("b", 1, 1, [False, True, False])]


def test_a_summary_has_at_most_sixty_lines():
    parts = {"forward": {"median": 1e-3, "of_copy": 0.5}}
    cases = {f"case {i}": {"parts": parts, "peers": {}} for i in range(99)}
    networks = {"done": 1, "of": 1, "wrong": [], "flips": 0, "samples": 1, "silent": 0, "spiking": 1,
                "overflow": 0, "largest": {"gradient": [0.1, 3]}, "twice": 1, "pieces": 1}
    everything = {"about": {}, "correctness": {"tests": {"passed": 3}, "networks": networks, "ended": "done"},
                  "speed": {"cases": {"lif": {"ended": "failed (1)", "cases": cases}}},
                  "profile": {"steps": {"shd": {}}, "ended": "killed by its time limit"}}
    said = list(summary.lines(everything))
    assert len(said) == 60 and max(map(len, said)) <= 118
    for line in ("== speed: has not ended", "lif: failed (1)", "tests of the device: 3 passed",
                 "case 0: 1.000 ms (50 % of copy); times ours: nobody", "... more in found.json",
                 "what it found cannot be told, see found.json: KeyError('wall')"):
        assert line in said


def test_kinds_are_trained():
    """One of the networks for compute-sanitizer; the others take too long in the simulator."""
    import kinds
    loss, y = kinds.trained(*kinds.KINDS["tokens"], steps=1)
    assert np.isfinite(loss) and y.shape == (*kinds.SHAPE, 4)
    assert all(ns.Network(*layers(), device="cuda", input_shape=(2, 6, 6) if x is kinds.PICTURES else None)
               for x, layers in kinds.KINDS.values())

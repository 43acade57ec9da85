"""How fast: cases of `numsnn bench` beside PyTorch, JAX and others, a process for each, the most wanted
first; and an epoch of S-MNIST 2020.

speed.py OUT runs all of it; speed.py OUT epoch that part.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from notes import SMALL, note, seconds_left

import numsnn as ns

PEERS = str(Path(__file__).resolve().parents[1] / "benchmarks" / "peers.py")
# what is run, in this order: a case, its numbers of samples, timed runs
CASES = (("shd", (64, 256), 3), ("lif", (64,), 5), ("ecg", (64, 256), 2), ("epoch",),
         ("convlif", (64, 256), 3), ("shd", (1024,), 3), ("ecg", (1024,), 2), ("convlif", (1024,), 3),
         ("convliaf", (256,), 3), ("smnist", (64, 256), 2), ("adam", (), 5))
IMAGES, BATCH = 60_000, 256


def benched(case, batches, runs, folder):
    """What `numsnn bench` finds of a case, {} where it did not get there."""
    file = Path(folder, f"{case}{batches}.json")
    how = ["--runs", str(runs), *(["--batch", *map(str, batches)] if batches else [])]
    command = ["bench", case, "--device", "cuda", *(["--tiny", "--runs", "1"] if SMALL else how),
               "--peers", PEERS, "--json", str(file)]
    ran = child("-c", f"import notes, numsnn.cli, sys; sys.exit(numsnn.cli.main({command!r}))")
    return {"ended": ran, **(json.loads(file.read_text()) if file.is_file() else {})}


def child(*arguments):
    """Run Python within the time that is left; how it ended."""
    try:
        done = subprocess.run([sys.executable, *arguments], check=False, timeout=max(seconds_left(), 0.1),
                              cwd=Path(__file__).parent)
    except subprocess.TimeoutExpired:
        return "time was up"
    return "done" if done.returncode == 0 else f"failed ({done.returncode})"


def epoch(folder):
    """Seconds of an epoch of the recipe srnn-smnist-2020 at B = 256, from a part of it, and of its kernels.

    Pixels are drawn: 19 % of them not black, as in MNIST.
    """
    from numsnn.devices.cuda.array import busy
    from numsnn.recipes import get, srnn_smnist
    batches, batch, steps = (1, 2, 6) if SMALL else (12, BATCH, 784)
    rng, recipe = np.random.default_rng(0), get("srnn-smnist-2020")
    shape = batches * batch, steps
    pixels = (rng.random(shape) < 0.19) * rng.integers(0, 256, shape)
    coded = srnn_smnist.Pixels(pixels.astype(np.uint8), "rbf", 80)
    data = ns.Dataset(coded, rng.integers(0, 10, len(pixels)))
    net = recipe.network(recipe.configured({"hidden": "8r-4r"} if SMALL else {}), device="cuda")
    optimizer = ns.optim.Adam(1e-3, clip_norm=1.0)

    def trained():
        ns.fit(net, data, loss=recipe.loss, optimizer=optimizer, epochs=1, batch_size=batch, progress=False)

    trained()
    begun = time.perf_counter()
    trained()
    seconds = time.perf_counter() - begun
    note(folder, "speed", epoch={"seconds": seconds * IMAGES / len(pixels), "batch": batch,
                                 "batches": batches, "in_kernels": busy(trained) / seconds})


def main(folder):
    with tempfile.TemporaryDirectory() as own:
        cases = {}
        for case, *how in (CASES[0], CASES[1], CASES[3]) if SMALL else CASES:
            if case == "epoch":
                note(folder, "speed", epoch_ended=child(__file__, folder, "epoch"))
            else:
                cases[" ".join(map(str, (case, *how[0])))] = benched(case, *how, own)
                note(folder, "speed", cases=cases)


if sys.argv[2:] == ["epoch"]:
    epoch(sys.argv[1])
else:
    main(sys.argv[1])

"""numsnn train: a recipe, on this machine or on the ranks of MPI."""

from __future__ import annotations

import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any

from .about import SAME, about_run, refuse_another
from .settings import pairs


def train(options: Namespace) -> None:
    """Train a recipe, then write a report."""
    from ..ranks import ALONE, mpi
    if options.sums is not None and not options.mpi:
        raise ValueError("--sums says how the ranks of --mpi add gradients; give both, or none")
    if not options.mpi:
        _train(options, ALONE)
        return
    ranks = mpi.world(options.sums or "exact")
    with _one_voice(ranks), ranks.guarded(brief=True):
        ranks.take_gpu(options.device)
        _train(options, ranks)


def set_threads(options: Namespace) -> None:
    """As many as --threads says."""
    if options.threads is not None:
        from ..devices.threads import set_num_threads
        set_num_threads(options.threads)


def sized(recipe: Any, settings: dict, data: Any) -> dict:
    """The options of the network: those of the recipe, and those that only the data tell."""
    return settings | (recipe.sizes(data) if recipe.sizes else {})


def _train(options, ranks):
    from .. import recipes
    from ..recipes import report
    from ..training.train import fit
    recipe = recipes.get(options.recipe)
    if options.published:
        recipe = recipe.as_published()
    elif options.data is None and options.epochs is None:
        recipe = recipe.rehearsed()
    settings = recipe.configured(pairs(options.set))
    about = about_run(options, recipe, settings, options.seed)
    set_threads(options)
    out = Path(options.out or f"runs/{recipe.name}-seed{options.seed}")
    checkpoint = out / "checkpoint.h5"
    ranks.on_root(partial(_claim, out, checkpoint, about, options.resume))
    _announce(options, ranks, about["epochs_asked"])
    data = recipe.data(options.data, options.seed, settings)
    net = recipe.network(sized(recipe, settings, data), options.seed, options.device)
    print(net.summary(), end="\n\n")
    with _begun(out, checkpoint, about) if ranks.root else nullcontext():
        history = fit(net, data.train, data.valid, loss=recipe.loss, optimizer=recipe.optimizer(settings),
                      epochs=about["epochs_asked"], batch_size=about["batch_size"], seed=options.seed,
                      watch={"test": data.test}, checkpoint=checkpoint,
                      resume=options.resume and checkpoint.exists(),
                      facts={"recipe": recipe.name, "options": settings}, comm=ranks,
                      **recipe.further(settings))
    if ranks.root:
        print(report.write(out, recipe, net, history, data, about))
        written = sorted(path.name for path in out.iterdir() if not path.name.endswith(".part"))
        print(f"\nwritten to {out}: {', '.join(written)}")


def _claim(out, checkpoint, about, resume):
    """Refuse to write over another training, or to go on with a different one."""
    if not checkpoint.exists():
        if resume:
            print(f"nothing to resume at {checkpoint}; starting anew", file=sys.stderr)
        return
    if not resume:
        raise ValueError(f"{out} holds a training already; add --resume to go on with it, "
                         "or choose another --out")
    refuse_another(out, {key: about[key] for key in SAME},
                   damaged="remove it, and the training goes on as this command says")


@contextmanager
def _begun(out: Path, checkpoint: Path, about: dict) -> Iterator[None]:
    """The folder of a training, which is left as it was where the disk does not take its first checkpoint."""
    from ..formats.whole import write_json
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        write_json(out / "config.json", about)
        yield
    except OSError:
        if not checkpoint.exists():
            with suppress(OSError):
                (out / "config.json").unlink(missing_ok=True)
                if new:
                    out.rmdir()
        raise


def _announce(options, ranks, epochs):
    from ..devices import notice
    from ..devices.threads import get_num_threads
    if ranks.size > 1:
        print(f"{ranks.size} ranks, threads of each: {get_num_threads()}; sums: {ranks.sums}\n")
    if options.data is None:
        print("NOTE: no --data given. The data are SYNTHETIC: made by a model, recorded from nobody. "
              "Accuracies say nothing about the\n"
              "real task; see data/README.md for where the real data come from. "
              f"Trained for {epochs} epochs; --epochs says otherwise.\n")
    if notice(options.device):
        print(notice(options.device), end="\n\n")


@contextmanager
def _one_voice(ranks):
    """Within it rank 0 speaks for all, also of an error that all have."""
    if ranks.root:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception:       # noqa: BLE001  rank 0 has it, too: `guarded` has seen to that
            raise SystemExit(2) from None

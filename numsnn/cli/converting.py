"""`numsnn convert`: files, folders and data sets of the field as one HDF5 file; networks as NIR and back."""

import sys
from functools import partial
from inspect import signature
from pathlib import Path

from . import networks
from .settings import refuse_taken, values


def convert(options):
    """Check what was asked, and write the one file."""
    from ..formats.whole import writable
    settings, out = values(options.set), Path(options.output)
    if out.exists():
        raise ValueError(f"{out} exists already; remove it, or choose another name")
    writable(out)
    given = Path(options.input)
    about = {"input": str(given.resolve()), **settings}
    for_folders = {"--pattern": options.pattern, "--columns": options.columns}
    is_folder = given.is_dir() or given.suffix == ".zip"
    wrong = [name for name, value in for_folders.items() if value is not None]
    if wrong and (options.dataset is not None or not is_folder):
        raise ValueError(f"{wrong[0]} is for a folder or zip archive of recordings of your own, "
                         f"without --dataset")
    if options.dataset is None and options.part is not None:
        raise ValueError("--part is for a data set; say --dataset, too")
    network = networks.kind(given) if options.dataset is options.format is None else None
    if network is not None:
        if options.skip_bad:
            raise ValueError("--skip-bad is for events, not for networks")
        NETWORKS[network](given, settings, out)
    elif options.dataset is not None:
        _convert_dataset(options, settings, about, out)
    elif is_folder:
        _convert_folder(options, settings, about, out)
    else:
        _convert_file(options, settings, about, out)


def _checkpoint_as_nir(path, settings, out):
    from .. import nir
    from ..files.checkpoint import load
    networks.refuse_unknown(settings, ("unit", "lossy", "which"), "of a checkpoint")
    which = {"which": settings.pop("which")} if "which" in settings else {}
    nir.write(load(path, device="reference", **which), out, **settings)
    print(f"the network of {path} written to {out}, a NIR file")


def _nir_as_checkpoint(path, settings, out):
    from ..files.checkpoint import save
    save(networks.read_nir(path, settings), out)
    print(f"the network of {path} written to {out}, a checkpoint")


NETWORKS = {"checkpoint": _checkpoint_as_nir, "nir": _nir_as_checkpoint}


def _convert_file(options, settings, about, out):
    from .. import formats
    from ..datasets import converted
    refuse_taken(settings, "path", format="say --format", strict="say --skip-bad")
    stream = formats.stream(options.input, options.format, strict=not options.skip_bad, **settings)
    n = converted.write_stream(out, stream, {**about, "format": stream.format})
    print(f"{n:,} events of {options.input} written to {out}" + _skipped(stream.problems.counts))


def _convert_folder(options, settings, about, out):
    from ..datasets import folder, folder_events, folder_signals
    refuse_taken(settings, "files", format="say --format", strict="say --skip-bad",
                  columns="say --columns", pattern="say --pattern")
    finding = {key: settings.pop(key) for key in ("duplicates",) if key in settings}
    try:
        files = folder.find(options.input, options.pattern or folder.EVERYTHING, **finding)
    except FileNotFoundError as error:
        if options.pattern is not None:
            raise
        raise ValueError(f"{options.input} is a folder; say --dataset, one of {', '.join(datasets())}, or "
                         f"--pattern ({error})") from error
    about = {**about, "pattern": files.pattern, "columns": options.columns}
    if folder.holds_signals(files, options.format, options.columns):
        if options.skip_bad:
            raise ValueError("--skip-bad is for events; for missing values of signals --set fill=0, hold or "
                             "linear")
        columns = options.columns.split(",") if options.columns not in (None, "all") else "all"
        data = folder_signals.dataset(files, columns, **settings)
        data.save(out, about)
        print(f"{len(data):,} sequences of {data.name} written to {out}")
        return
    found = folder_events.listing(files, options.format, strict=not options.skip_bad, **settings)
    _write_recordings(found, about, out)


def _write_recordings(found, about, out):
    from ..datasets import converted
    before = converted.write(out, found, about, _Bar())
    there = f"; {before:,} were there already" if before else ""
    print(f"{len(found.items):,} recordings of {found.name} written to {out}{there}")


def _convert_dataset(options, settings, about, out):
    from ..datasets import Dataset
    known = datasets()
    if options.dataset not in known:
        raise ValueError(f"no data set {options.dataset!r}; there are {', '.join(known)}")
    if options.dataset == "fsdd":                       # sound becomes spikes on the way
        n = _made(partial(known["fsdd"], path=out), options, settings)
        print(f"{n:,} recordings of Free Spoken Digits written to {out} as spikes, in SHD layout")
        return
    found = _made(known[options.dataset], options, settings)
    about = {**about, "dataset": options.dataset, "part": options.part or settings.get("part", "train")}
    if isinstance(found, Dataset):
        found.save(out, about)
        print(f"{len(found):,} sequences of {found.name} written to {out}")
        return
    _write_recordings(found, about, out)


def datasets():
    """Name -> function(path, part, ...) that gives a Listing or a Dataset."""
    from ..datasets import braille, cameras, mnist, qtdb, shd, speech
    return {**cameras.LISTINGS, **shd.LISTINGS, "qtdb-coded": qtdb.coded, "qtdb": qtdb.raw,
            "mnist": mnist.mnist, "fashion-mnist": mnist.fashion, "mnist-still": mnist.still,
            "braille": braille.braille, "fsdd": speech.fsdd_spikes, "speech-commands": speech.speech_commands}


def _made(make, options, settings):
    """The data set, with --part and --skip-bad where it knows them."""
    known = signature(make).parameters
    # what is given by its place: the folder; of spoken digits the file to write, too
    taken = [*getattr(make, "keywords", {}), *list(known)[:1]]
    refuse_taken(settings, *taken, strict="say --skip-bad")
    if options.part is not None and settings.get("part", options.part) != options.part:
        raise ValueError(f"--part {options.part} and --set part={settings['part']} contradict each other")
    part = options.part or settings.get("part", "train")
    settings = {key: value for key, value in settings.items() if key != "part" or "part" not in known}
    if "strict" in known:
        settings = {**settings, "strict": not options.skip_bad}
    takes_any = any(parameter.kind == parameter.VAR_KEYWORD for parameter in known.values())
    wrong = [key for key in settings if key not in known and not takes_any]
    if wrong:
        has = ", ".join(list(known)[2:]) or "none"
        raise ValueError(f"data set {options.dataset} has no option {wrong[0]!r}; it has {has}")
    parts = {"part": part} if "part" in known else {}
    try:
        return make(options.input, **parts, **settings)
    except TypeError as error:
        raise ValueError(f"data set {options.dataset}: {error}") from error


def _skipped(counts):
    return "".join(f"\nSKIPPED: {n:,} x {what}" for what, n in counts.items())


class _Bar:
    """Progress of a conversion: a bar on a terminal, a line for each tenth elsewhere."""

    def __init__(self):
        self.live = sys.stderr is not None and sys.stderr.isatty()
        self.tenth = -1

    def __call__(self, done, n, name):
        if sys.stderr is None:          # a program without a console
            return
        if self.live:
            filled = 24 * done // max(n, 1)
            bar = "#" * filled + "." * (24 - filled)
            end = "\n" if done == n else ""
            sys.stderr.write(f"\r[{bar}] {done}/{n} {name[-40:]}\033[K{end}")
        elif 10 * done // max(n, 1) > self.tenth:
            self.tenth = 10 * done // max(n, 1)
            sys.stderr.write(f"{done}/{n}\n")
        sys.stderr.flush()

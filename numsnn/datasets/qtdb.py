"""QT Database, coded by level crossing as the SRNN's authors did: ECG waves of two leads, a label for every step."""

from pathlib import Path

import numpy as np

from ..spikes import Spikes
from .dataset import Dataset

CLASSES = ("P", "PQ", "QR", "RS", "ST", "TP")
FIRST = 10              # the first steps do not count, as in the authors' code
FILES = {"train": "QTDB_train.mat", "test": "QTDB_test.mat"}
CITATION = ("Laguna et al., A database for evaluation of algorithms for measurement of QT ..., Computers in Cardiology 24 (1997); "
            "Goldberger et al., PhysioBank ..., Circulation 101 (2000). Coding: Yin, Corradi, Bohte 2020.")


def coded(folder, part: str) -> Dataset:
    """A part ("train" or "test") of the coded QT Database.

    folder holds QTDB_train.mat and QTDB_test.mat of the authors' repository: x (N, 1301, 4) spikes of two leads, up and down; y (N, 1301,
    6) one-hot.  The last step is a filler (x is -1 there) and is dropped: 1300 steps remain.  Steps without a label are class 0, as in
    the published accuracies; `labelled` tells them apart.  Steps before 10 do not count.
    """
    if part not in FILES:
        raise ValueError(f"QTDB has the parts {', '.join(map(repr, FILES))}; got {part!r}")
    path = Path(folder) / FILES[part]
    x, y = _read(path)
    if not np.isin(x[:, :-1], (0, 1)).all():
        raise ValueError(f"{path}: expected spikes 0 or 1 in x before the last step; got values from {x.min()} to {x.max()}")
    x, y = np.moveaxis(x[:, :-1], 1, 0), np.moveaxis(y[:, :-1], 1, 0)
    counts = np.broadcast_to(np.arange(len(x))[:, None] >= FIRST, x.shape[:2])
    return Dataset(Spikes.from_dense(x.astype(bool)), y.argmax(-1), mask=counts, labelled=y.any(-1), classes=CLASSES,
                   name=f"QTDB, {part}", source=f"QT Database (PhysioNet), level-crossing coded: {path.name}")


def _read(path):
    """(x, y) of a MATLAB 5 file, or an error that says what is wrong with it."""
    from scipy.io import loadmat
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; --data (or the folder argument) must name the folder that holds "
                                f"{' and '.join(FILES.values())}")
    try:
        content = loadmat(path)
    except Exception as error:      # scipy raises many kinds for damaged files
        raise ValueError(f"{path} cannot be read as a MATLAB 5 file ({type(error).__name__}: {error}); "
                         f"it may be damaged or incomplete, fetch it again") from error
    for key, last in (("x", 4), ("y", 6)):
        a = content.get(key)
        if a is None or a.ndim != 3 or a.shape[2] != last or not np.issubdtype(a.dtype, np.number):
            raise ValueError(f"{path}: expected an array {key} of shape (N, T, {last}); got "
                             f"{'none' if a is None else f'{a.dtype} of shape {a.shape}'}")
        if not np.isfinite(a).all():
            raise ValueError(f"{path}: {key} holds NaN or infinity")
    if content["x"].shape[:2] != content["y"].shape[:2] or not content["x"].size or content["x"].shape[1] < FIRST + 2:
        raise ValueError(f"{path}: expected x (N, T, 4) and y (N, T, 6) of equal, non-zero N and T > {FIRST + 1}; "
                         f"got {content['x'].shape} and {content['y'].shape}")
    return content["x"], content["y"]

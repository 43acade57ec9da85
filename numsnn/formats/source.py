"""Where the files of a data set come from: a folder, a zip file, or a folder inside one; nothing is unpacked.

    Source("qtdb")  Source("qtdb_records.zip")  Source("tasks.zip/tasks_1-20_v1-2/en")
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from .problems import FormatError, existing

# what systems leave behind, besides hidden files
OF_SYSTEMS = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir",
              "system volume information"}
RATIO = 1032                    # Deflate makes nothing smaller than this: a member cannot hold more


def is_wanted(name: str) -> bool:
    """Whether a file, by its path inside a folder or archive, may be of a data set.

    Others are what systems leave behind (`__MACOSX/`, `._*`, `.DS_Store`, `Thumbs.db` ...), and hidden.
    """
    parts = PurePosixPath(name).parts
    return not any(part.startswith(".") or part.lower() in OF_SYSTEMS for part in parts)


class Source:
    """The files of a folder or of a zip file, by their name without folders.

    path: a folder; a zip file, whose members may lie in any folder as long as each name occurs once; or
    ZIP/FOLDER for one folder of it.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.inside: Path | None = None
        for place in (self.path, *self.path.parents):
            if place.is_file():
                self.inside = self.path.relative_to(place)
                self.path = place
                break
        if self.inside is None and not self.path.is_dir():
            raise FileNotFoundError(f"no folder or zip file {self.path}")
        self.members = {} if self.inside is None else self._members(PurePosixPath(self.inside.as_posix()))

    def _members(self, inside: PurePosixPath) -> dict[str, list[zipfile.ZipInfo]]:
        """Name -> every member of the zip file, or of its folder `inside`, that has it."""
        members: dict[str, list] = {}
        anywhere = str(inside) == "."
        try:
            with zipfile.ZipFile(existing(self.path)) as archive:
                for info in archive.infolist():
                    place = PurePosixPath(info.filename)
                    chosen = is_wanted(info.filename) if anywhere else place.parent == inside
                    if chosen and not info.is_dir() and is_wanted(place.name):
                        members.setdefault(place.name, []).append(info)
        except FormatError:
            raise
        except Exception as error:      # zipfile raises many kinds for damaged files
            raise FormatError(self.path, f"cannot be read as a zip file ({type(error).__name__}: {error})",
                              remedy="it may be damaged or incomplete, fetch it again") from error
        return members

    def names(self, suffix: str = "") -> list[str]:
        """Names of the files that end in suffix, in order."""
        if self.inside is not None:
            names = list(self.members)
        else:
            names = [path.name for path in self.path.iterdir() if path.is_file()]
        return sorted(name for name in names if name.endswith(suffix) and is_wanted(name))

    def where(self, name: str) -> str:
        """How an error names this file."""
        return str(self.path / (self.inside or "") / name)

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file.

        most: a file with more bytes cannot be what it should be, and is refused before it is read.
        """
        if self.inside is not None:
            return self._read_member(name, most)
        path = self.path / name
        if path.parent != self.path:
            raise ValueError(f"{name!r} must be the name of a file, without folders")
        size = existing(path).stat().st_size
        self._check_size(name, size, most)
        return path.read_bytes()

    def _read_member(self, name, most):
        found = self.members.get(name, ())
        if not found:
            raise FileNotFoundError(f"no file {self.where(name)}")
        if len(found) > 1:
            places = ", ".join(info.filename for info in found)
            raise FileNotFoundError(f"{self.path} holds {len(found)} files {name} ({places}); "
                                    f"name the folder, ZIP/FOLDER")
        info, = found
        self._check_size(name, info.file_size, most)
        known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        stored_fits = info.compress_size <= self.path.stat().st_size
        content_fits = info.file_size <= RATIO * info.compress_size + 64
        if not (known and stored_fits and content_fits):
            claim = f"{info.file_size:,} bytes in {info.compress_size:,}, method {info.compress_type}"
            raise FormatError(self.where(name), f"claims to hold {claim}",
                              remedy="members must be stored or deflated; the zip file may be damaged")
        try:
            with zipfile.ZipFile(self.path) as archive:
                content = archive.read(info)
        except Exception as error:      # as above
            raise FormatError(self.where(name), f"cannot be unpacked ({type(error).__name__}: {error})",
                              remedy="the zip file may be damaged, fetch it again") from error
        if not content:
            raise FormatError(self.where(name), "the file is empty", remedy="fetch it again")
        return content

    def _check_size(self, name, size, most):
        if size > most:
            problem = f"has {size:,} bytes, more than the {most:,} that it can need"
            raise FormatError(self.where(name), problem)

"""Reading a NIR file, as it stands, into a `Graph`: nothing is assumed, added or left out here.

    /version                            text
    /node                               a graph:
        type                            "NIRGraph"
        edges                           texts (n, 2): from, to; in any order
        nodes/NAME/type                 text; what else is there are parameters: numbers or a text
        nodes/NAME/metadata/KEY         what others wrote with it
        nodes/NAME/nodes, edges         where it is a graph itself

Files come from anywhere: sizes are checked before memory is taken, links to other files are refused, and the
damaged ones give a `NirError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checked import checked
from ..formats import hdf5
from ..formats.problems import FormatError
from ..packages import needed
from .nodes import GRAPH, KINDS, Graph, NirError, Node, Value

if TYPE_CHECKING:
    import h5py

DEPTH = 32                      # of graphs within graphs
LEAST = 64                      # bytes that a node takes in a file at the very least
NAMES = ("type", "nodes", "edges", "metadata")      # in a group, that are no parameters


@checked
def load(path: Path | str) -> Graph:
    """The graph of a NIR file.

    FileNotFoundError where there is no such file; NirError, which says why, where it is damaged or none of
    NIR.
    """
    path = Path(path)
    with _opened(path) as file:
        reader = _Reader(path, file)
        if not is_nir(file):
            there = ", ".join(sorted(file)) or "nothing"
            raise NirError(f"{path} is an HDF5 file, but none of NIR: it should have /node with a type; "
                           f"it has {there}")
        node = reader.node(file["node"], "node", 0)
        graph = node if isinstance(node, Graph) else Graph({"node": node})
        graph.version = reader.text(file.get("version"), "version") or ""
    return graph


def is_nir(file: h5py.File) -> bool:
    """Whether an HDF5 file that is open holds a graph of NIR."""
    return "node/type" in file or "node/nodes" in file and "node/edges" in file


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The file, open; every failure on the way becomes a NirError that says why."""
    try:
        with hdf5.opened(path) as file:
            yield file
    except (NirError, FileNotFoundError):
        raise
    except FormatError as error:
        raise NirError(str(error)) from error
    except Exception as error:              # damaged files make h5py raise many kinds
        raise NirError(f"{path} is damaged: {error or type(error).__name__}") from error


class _Reader:
    """Reads groups; it counts what it hands out, since links can name the same thing many times."""

    def __init__(self, path: Path, file: h5py.File):
        self.h5py = needed("h5py", "a NIR file (HDF5)")
        self.path = path
        self.file = file
        stored = path.stat().st_size
        self.bytes = hdf5.RATIO * stored + hdf5.FREE
        self.things = stored // LEAST + 16

    def node(self, group: Any, where: str, depth: int) -> Node | Graph:
        """A node, or the graph that stands in its place."""
        self._count(where)
        if not isinstance(group, self.h5py.Group):
            self.refuse(where, "should be a group with a type and parameters")
        kind = self.text(group.get("type"), f"{where}/type")
        if kind == GRAPH or kind is None and "nodes" in group and "edges" in group:
            return self.graph(group, where, depth)
        if not kind:
            return self.refuse(where, "has no type")
        known = KINDS[kind].params if kind in KINDS else ()
        params = {}
        for name in sorted(group, key=lambda name: known.index(name) if name in known else len(known)):
            value = None if name in NAMES else self.value(group.get(name), f"{where}/{name}")
            if value is not None:
                params[name] = value
        metadata = self.metadata(group["metadata"], where) if "metadata" in group else {}
        return Node(kind, params, metadata)

    def graph(self, group: Any, where: str, depth: int) -> Graph:
        """A graph with all that is in it."""
        nodes = group.get("nodes")
        if not isinstance(nodes, self.h5py.Group) or "edges" not in group:
            self.refuse(where, "should have nodes and edges, as a NIRGraph has")
        if depth == DEPTH:
            self.refuse(where, f"is a graph within {DEPTH} others, which is refused")
        found = {name: self.node(nodes[name], f"{where}/{self.sound(name, where)}", depth + 1)
                 for name in nodes}
        metadata = self.metadata(group["metadata"], where) if "metadata" in group else {}
        return Graph(found, self.edges(group["edges"], where), metadata)

    def edges(self, found: Any, where: str) -> list[tuple[str, str]]:
        """The edges as pairs of names."""
        is_data = isinstance(found, self.h5py.Dataset)
        if is_data and found.size == 0:
            return []
        if not is_data or not self.is_text(found) or found.ndim != 2 or found.shape[1] != 2:
            got = f"{found.dtype} of shape {found.shape}" if is_data else "a group"
            return self.refuse(where, f"has edges that should be pairs of names; got {got}")
        names = hdf5.texts(self.path, found, "edges")
        return [(self.sound(a, where), self.sound(b, where)) for a, b in names]

    def metadata(self, group: Any, where: str, depth: int = 0) -> dict[str, Any]:
        """What others wrote beside the parameters: numbers, texts and groups of them; the rest is left."""
        content: dict[str, Any] = {}
        if not isinstance(group, self.h5py.Group) or depth == DEPTH:
            return content
        for key in group:
            self._count(where)
            found = group.get(key)
            if isinstance(found, self.h5py.Group):
                content[key] = self.metadata(found, where, depth + 1)
            elif (value := self.value(found, f"{where}/{key}")) is not None:
                content[key] = value
        return content

    def value(self, found: Any, where: str) -> Value | None:
        """Numbers or a text; of a group that holds one thing only, that (`input_type` of some files)."""
        if isinstance(found, self.h5py.Group) and len(found) == 1:
            found = found.get(next(iter(found)))
        if not isinstance(found, self.h5py.Dataset) or found.shape is None:
            return None
        if self.is_text(found):
            return self.text(found, where)
        if found.dtype.kind not in "iufb":
            return None
        self._take(where, hdf5.sound(self.path, found, where).nbytes)
        numbers = np.asarray(found[()])
        return int(numbers) if numbers.ndim == 0 and numbers.dtype.kind in "iu" else numbers

    def is_text(self, found: h5py.Dataset) -> bool:
        """Whether a data set holds texts."""
        return found.dtype.kind in "OS" and self.h5py.check_string_dtype(found.dtype) is not None

    def text(self, found: Any, where: str) -> str | None:
        """One text; None where there is none."""
        if not isinstance(found, self.h5py.Dataset) or found.size != 1 or not self.is_text(found):
            return None
        text = str(hdf5.texts(self.path, found, where).ravel()[0])
        self._take(where, len(text))
        return text

    def sound(self, name: str, where: str) -> str:
        """A name that can be printed, and that HDF5 can hold."""
        if not name or not name.isprintable() or "/" in name:
            self.refuse(where, f"holds the name {name!r}, which is damaged")
        return name

    def _take(self, where, n):
        self.bytes -= n
        if self.bytes < 0:
            self.refuse(where, "names the same arrays again and again; the file is damaged")

    def _count(self, where):
        self.things -= 1
        if self.things < 0:
            self.refuse(where, "names the same nodes again and again; the file is damaged")

    def refuse(self, where: str, problem: str) -> Any:
        """Raise a NirError that names the place."""
        raise NirError(f"{self.path}: /{where} {problem}")

"""Data flows one way: each room imports only from the rooms above it, and none of its files in a circle."""

import ast
import sys
from pathlib import Path

import numsnn

ROOT = Path(numsnn.__file__).parent
ORDER = ("moved", "checked", "packages", "signals", "neurons", "devices", "ranks", "layers", "loss", "optim",
         "network", "rules", "formats", "files", "models", "nir", "datasets", "export", "training", "energy",
         "reports", "recipes", "sweeps", "bench", "guide", "cli")
ENTRANCE = ("__init__", "__main__")                 # they may import anything, and nothing imports them
RUN_TIME = {"numpy", "numba", "llvmlite", "scipy", "h5py", "matplotlib"}
NO_NUMBA = ("neurons", "signals/spikes.py", "signals/events.py", "devices/reference", "devices/access.py",
            "devices/buffers.py", "devices/contract.py", "devices/eligibility.py", "devices/norm.py",
            "layers", "network", "rules")


def python_files(below=ROOT):
    return sorted(below.rglob("*.py")) if below.is_dir() else [below]


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path, everywhere=True):
    """(our own modules, foreign packages) that a file imports: wherever in it, or only when it is loaded."""
    own, foreign = set(), set()
    tree = ast.parse(path.read_text())
    folder = ("numsnn", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            foreign |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            foreign.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = folder[:len(folder) - node.level + 1]
            if node.module:
                base += tuple(node.module.split("."))
            own |= {file for alias in node.names if (file := module(base, alias.name))}
    return own, foreign


def module(base, name):
    """The path of the module that `from base import name` loads."""
    for parts in ((*base, name), base):
        place = ROOT.joinpath(*parts[1:])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


def test_every_room_imports_from_above():
    files = [path for path in python_files() if room(path) not in ENTRANCE]
    assert len(files) > 20
    for path in files:
        for other in imports(path)[0]:
            allowed = room(other) == room(path) or other == ROOT / "__init__.py" or \
                ORDER.index(room(other)) < ORDER.index(room(path))
            assert allowed, f"{path.relative_to(ROOT)} imports {room(other)}, which stands below it"


def test_no_two_files_import_each_other():
    """What a file needs when it is loaded never leads back to it."""
    needs = {path: imports(path, everywhere=False)[0] for path in python_files()}
    done, open_ = set(), []

    def visit(path):
        circle = [str(p.relative_to(ROOT)) for p in (*open_, path)]
        assert path not in open_, " -> ".join(circle)
        if path in done:
            return
        open_.append(path)
        for other in needs[path] - {path}:
            if other.name != "__init__.py":         # a room's list of names
                visit(other)
        open_.pop()
        done.add(path)

    for path in needs:
        visit(path)


def test_only_the_run_time_packages():
    for path in python_files():
        foreign = imports(path)[1] - set(sys.stdlib_module_names)
        comes_with_numba_cuda = {"cuda"} if path == ROOT / "devices" / "cuda" / "driver.py" else set()
        assert foreign <= RUN_TIME | comes_with_numba_cuda, f"{path.relative_to(ROOT)} imports {foreign}"


def test_the_reference_needs_no_numba():
    for name in NO_NUMBA:
        for path in python_files(ROOT / name):
            assert not imports(path)[1] & {"numba", "llvmlite"}, path.relative_to(ROOT)


def test_the_device_is_asked_about_once():
    def asks(node):
        left = getattr(node, "left", None)
        name = getattr(left, "id", getattr(left, "attr", ""))
        return isinstance(node, ast.Compare) and name == "device"

    places = [path for path in python_files() if any(map(asks, ast.walk(ast.parse(path.read_text()))))]
    assert places == [ROOT / "devices" / "__init__.py"]


def test_the_devices_have_the_same_rooms():
    """A file of the CPU's or the GPU's that does the same has the same name."""
    both = {"device.py", "conv.py", "dense.py", "pool.py", "population.py", "two_stage.py"}
    for device in ("cpu", "cuda"):
        assert both <= {path.name for path in (ROOT / "devices" / device).glob("*.py")}, device

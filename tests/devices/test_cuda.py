"""The CUDA device: all of on_cuda*.py on the GPU, or in Numba's simulator and, compiled, on the host.

Also kernels compiled without a GPU, and what is said where none is.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import numsnn as ns

HERE = Path(__file__).parent


def _gpu():
    try:
        ns.devices.get("cuda")
    except (ImportError, OSError):
        return False
    return True


def start(files, options, environment):
    """A process that tests files and says what came of it."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *map(str, files)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment})


def run(folder, *options, **environment):
    """All of on_cuda*.py, in two processes of their own.

    folder: for the second one's compiled code, because two that write at once mix Numba's cache up.
    """
    files = sorted(HERE.glob("on_cuda*.py"))
    running = [start(files[::2], options, environment),
               start(files[1::2], options, {**environment, "NUMBA_CACHE_DIR": str(folder)})]
    said = [process.communicate()[0] for process in running]
    for process, text in zip(running, said, strict=True):
        assert process.returncode == 0, text[-6000:]
        assert " passed" in text and "skipped" not in text


def test_on_the_gpu_or_in_the_simulator(tmp_path):
    run(tmp_path, NUMBA_ENABLE_CUDASIM="0" if _gpu() else "1")


COMPILES = sys.platform == "linux" and find_spec("numba_cuda") and shutil.which("cc")


@pytest.mark.skipif(_gpu() or not COMPILES, reason="needs numba-cuda and a C compiler on Linux, and no GPU")
@pytest.mark.parametrize("sizes", ["as it is", "small"])
def test_compiled_kernels_on_the_host(sizes, tmp_path):
    """What numba-cuda compiles and how it is started, without a GPU.

    Threads in an order that is drawn, memory that begins with no numbers and ends where it ends.
    """
    driver, library = HERE / "host_gpu" / "driver.c", tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, driver, "-ldl"], check=True)
    path = os.pathsep.join(map(str, (driver.parent, HERE.parents[1])))
    run(tmp_path, "-p", "host_kernels", HOST_GPU=sizes, LD_LIBRARY_PATH=str(tmp_path), PYTHONPATH=path)


@pytest.mark.skipif(_gpu(), reason="there is a GPU")
def test_what_is_missing_is_said():
    said = 'device="cuda" needs .*(pip install "numsnn\\[cuda\\]"|driver).*device="cpu"'
    with pytest.raises((ImportError, OSError), match=said):
        ns.Network(ns.Dense(2, 3), device="cuda")


def test_kernels_compile_without_doubles_local_memory_or_calls():
    """PTX for a GPU that need not be there."""
    reason = 'the package numba-cuda is not installed (pip install "numsnn[cuda]"): nothing to compile with'
    pytest.importorskip("numba_cuda", reason=reason)
    done = subprocess.run([sys.executable, HERE / "kernels_to_ptx.py"], capture_output=True, text=True,
                          check=False, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "0"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) > 30

"""A disk that is full, for tests."""

import contextlib

import pytest
from beside import STARTING


@contextlib.contextmanager
def full_after(n: int):
    """No file can grow beyond n bytes inside. No job beside the tests starts there: it would inherit that."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are those of Unix")
    with STARTING:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

"""A disk that is full, for tests."""

import contextlib

import pytest


@contextlib.contextmanager
def full_after(n: int):
    """No file can grow beyond n bytes inside."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are those of Unix")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

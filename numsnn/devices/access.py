"""Read and write a model's named tuples at one index of their arrays.

    gather(arrays, i)           cls(arrays.v[i], arrays.spike[i], ...)
    scatter(arrays, i, values)  arrays.v[i] = values.v; ...
    accumulate(arrays, i, values)  arrays.v[i] += values.v; ...
    clear(arrays, i)            arrays.v[i] = 0; ...

`arrays` is a named tuple of arrays, or of arrays and None or (), which CUDA kernels take instead: such a
field reads as 0 and is not written.  Loops are written once for all models, and store only the fields that
were asked for.  Here the plain Python meaning; devices/jit.py has the compiled one of GPU kernels,
devices/cpu/fields.py that of the CPU's loops.
"""

from ..neurons.elementwise import ZERO


def absent(a: object) -> bool:
    return a is None or isinstance(a, tuple)


def gather(arrays, i):
    return type(arrays)(*(ZERO if absent(a) else a[i] for a in arrays))


def gather_sum(arrays, i, more, j):
    """gather(arrays, i) + gather(more, j), field by field."""
    first, second = gather(arrays, i), gather(more, j)
    return type(arrays)(*(ZERO + a + b for a, b in zip(first, second, strict=True)))


def scatter(arrays, i, values):
    for a, value in zip(arrays, values, strict=True):
        if not absent(a):
            a[i] = value


def accumulate(arrays, i, values):
    for a, value in zip(arrays, values, strict=True):
        if not absent(a):
            a[i] += value


def clear(arrays, i):
    for a in arrays:
        if not absent(a):
            a[i] = 0

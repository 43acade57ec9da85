"""`net.params`: all learned arrays of a network by name."""

from collections.abc import Iterator, Mapping, MutableMapping

import numpy as np

from ..layers import Layer
from ..layers.arrays import put_all


class Parameters(MutableMapping):
    """All learned arrays of a network by name ("dense0.weight"), in the order of layers.

    Assigning copies into the array; a wrong shape or a value that is not finite is refused, as by
    layer.params (layers/arrays.py).  Names cannot be added or deleted.
    """

    def __init__(self, layers: dict[str, Layer]):
        self._layers = layers

    def _find(self, key):
        layer, _, name = str(key).rpartition(".")
        if layer not in self._layers or name not in self._layers[layer].params:
            raise KeyError(f"no parameter {key!r}; there are {', '.join(self)}")
        return self._layers[layer].params, name

    def __getitem__(self, key: str) -> np.ndarray:
        params, name = self._find(key)
        return params[name]

    def __setitem__(self, key: str, value) -> None:
        params, name = self._find(key)
        params[name] = value

    def __delitem__(self, key):
        raise TypeError(f"parameter {key!r} belongs to the network and cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return (f"{layer}.{name}" for layer, owner in self._layers.items() for name in owner.params)

    def __len__(self) -> int:
        return sum(len(owner.params) for owner in self._layers.values())

    def project(self) -> int:
        """Put values that crossed a bound back on it (`bounds` of a layer); the number of values."""
        count = 0
        for owner in self._layers.values():
            for name, bound in owner.bounds().items():
                count += bound.project(owner.params[name]) if name in owner.params else 0
        return count

    def copy(self) -> dict[str, np.ndarray]:
        """Copies of all arrays in a plain dict."""
        return {name: np.array(array) for name, array in self.items()}


def arrays_of(layers: dict[str, Layer]) -> dict[str, np.ndarray]:
    """Copies of all arrays that a training changes, learned ones and running statistics, by name."""
    found: dict[str, np.ndarray] = {}
    for name, layer in layers.items():
        for kind in (layer.params, layer.fixed):
            found |= {f"{name}.{key}": np.array(a) for key, a in kind.items()}
    return found


def equal_arrays(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two sets of arrays are the same bit for bit."""
    return one.keys() == other.keys() and all(
        a.shape == other[name].shape and a.tobytes() == other[name].tobytes() for name, a in one.items())


def put_arrays(layers: dict[str, Layer], arrays: dict[str, np.ndarray]) -> None:
    """Copy the values of `arrays_of`, or of some of them, into the layers' own arrays: all, or none."""
    if not isinstance(arrays, Mapping):
        raise TypeError(f"expected arrays by name, as net.arrays() gives them; got {type(arrays).__name__}")
    values = []
    for name, a in arrays.items():
        layer, _, key = str(name).rpartition(".")
        if layer not in layers or key not in layers[layer].params | layers[layer].fixed:
            raise ValueError(f"no array {name!r} in this network")
        own = layers[layer].params if key in layers[layer].params else layers[layer].fixed
        values.append((own, key, a))
    put_all(values)

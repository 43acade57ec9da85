"""`Embedding`: a learned vector for each token."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..checked import checked
from ..signals.integers import is_whole
from ..signals.spikes import Spikes, index_dtype
from .initialise import Value, initial, plain
from .layer import Arriving, Context, Gradients, Layer, Result, Shape, positive_integer, size


class Embedding(Layer):
    """A learned vector for each token: y_t = weight[token_t], and 0 where the token is the padding.

    As the first layer of a network it reads integers 0 ... n_tokens - 1, x: (T, B) or (T, B, 1); y: (T, B,
    n_out).  To the other layers a token is a spike of one of n_tokens units, and this a Dense without bias:
    Spikes (T, B, n_tokens) are taken as well, several in a step give the sum of their vectors.  weight is
    (n_tokens, n_out); its gradient is summed event by event.

    n_tokens, n_out: sizes.  weight: initial values (see numsnn.layers.initialise), those of Keras by default
    (PyTorch: N(0, 1)).  padding: a token whose vector is not used, so that it stays as it is (PyTorch's
    padding_idx gives the vector out); None: there is no such token.  Source: Bengio, Ducharme, Vincent,
    Jauvin 2003.
    """

    kind = "embedding"
    reads_tokens = True
    needs = ("dense_forward", "dense_backward")

    @checked
    def __init__(self, n_tokens: int, n_out: int, *, weight: Value = ("uniform", -0.05, 0.05),
                 padding: int | None = None, name: str | None = None):
        super().__init__(name)
        self.n_tokens = positive_integer(n_tokens, "Embedding: n_tokens")
        self.n_out = positive_integer(n_out, "Embedding: n_out")
        if padding is not None and not self._is_token(padding):
            self.refuse(f"padding must be a token, 0 ... {n_tokens - 1}, or None; got {padding!r}")
        self.weight = weight
        self.padding = None if padding is None else int(padding)

    def _is_token(self, value):
        return is_whole(value, least=0) and value < self.n_tokens

    @property
    def n_in(self) -> int:
        """Number of units whose spikes the tokens are."""
        return self.n_tokens

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        label = self.name or "Embedding"
        weight = initial(self.weight, rng, (self.n_tokens, self.n_out), f"{label}.weight")
        self.params["weight"] = weight.astype(dtype)

    def connect(self, shape: Shape | None) -> Shape:
        arriving = size(shape)
        if arriving not in (None, self.n_tokens):
            self.refuse(f"expects spikes of {self.n_tokens} tokens, but {arriving} inputs arrive; "
                        f"use Embedding({arriving}, {self.n_out}), or put it first, where it reads integers")
        return (self.n_out,)

    def events(self, x: ArrayLike) -> Spikes:
        """Tokens, integers (T, B) or (T, B, 1), as Spikes (T, B, n_tokens)."""
        x = np.asarray(x)
        if x.ndim not in (2, 3) or x.shape[2:] not in ((), (1,)):
            self.refuse(f"expects tokens x of shape (T, B) or (T, B, 1): time, samples; got shape {x.shape}")
        if not np.issubdtype(x.dtype, np.integer):
            self.refuse(f"expects tokens, integers 0 ... {self.n_tokens - 1}; got {x.dtype}. "
                        f"Whole numbers stored as floats: x.astype(int)")
        x = x.reshape(x.shape[:2])
        wrong = np.argwhere((x < 0) | (x >= self.n_tokens))
        if wrong.size:
            t, b = wrong[0]
            self.refuse(f"expects tokens 0 ... {self.n_tokens - 1}; x[{t}, {b}] is {x[t, b]}. "
                        f"n_tokens is the largest token plus 1, here {x.max() + 1}")
        index = x.ravel().astype(index_dtype(self.n_tokens))
        one_each = np.ones(x.size, np.int32)
        return Spikes.of_rows((*x.shape, self.n_tokens), np.arange(x.size), one_each, index)

    def prepare(self, context: Context) -> tuple[np.ndarray, np.ndarray]:
        weight = self.params["weight"]
        if self.padding is not None:
            weight = self._without_padding(weight.copy())
        return weight, np.zeros(self.n_out, weight.dtype)

    def forward(self, x: Arriving, state: None, prepared: tuple[np.ndarray, np.ndarray],
                context: Context) -> Result:
        return Result(context.loops.dense_forward(x, *prepared), None, x if context.tape else None)

    def backward(self, tape: Arriving, dy: np.ndarray, dstate: None, dhidden: dict | None,
                 prepared: tuple[np.ndarray, np.ndarray], context: Context) -> Gradients:
        dweight, _, dx = context.loops.dense_backward(tape, prepared[0], dy, context.want_dx)
        if self.padding is not None:
            dweight = self._without_padding(dweight)
        return Gradients(dx, None, {"weight": dweight})

    def _without_padding(self, a):
        """Zeros, in their place, for the vector of the padding."""
        vector = a[self.padding:self.padding + 1]
        vector[...] = 0
        return a

    def config(self) -> dict[str, Any]:
        return {"n_tokens": self.n_tokens, "n_out": self.n_out, "weight": plain(self.weight),
                "padding": self.padding, "name": self.name}

    def describe(self) -> str:
        return f"Embedding({self.n_tokens}, {self.n_out})"

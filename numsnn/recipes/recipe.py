"""What a recipe is: an experiment of a paper, ready to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..datasets import Dataset
from ..loss import Loss
from ..network.network import Network
from ..optim import Optimizer


class Data(NamedTuple):
    train: Dataset
    valid: Dataset
    test: Dataset


class Recipe(NamedTuple):
    """An experiment: how its data, network and training are made.

    name, summary: for lists.  options: name -> default, what `--set` may change.
    data(folder or None, seed, options) -> Data.  network(options, seed, device) -> Network.
    optimizer(options), loss: of the training.  epochs, batch_size: of the paper.
    expected: what the paper and we got, for reports.
    figure(net, data): a figure of one test sequence, or None.
    fit: further keywords of `numsnn.fit`, such as tbptt, a function of the options that gives them, or None.
    sizes(data): options of the network that only the data tell, or None.
    published: the authors' epochs, batch_size and options, where epochs and batch_size are not theirs.
    rehearsal: (epochs, optimizer) on synthetic data, where the whole training is too long for a first look.
    """
    name: str
    summary: str
    options: dict
    data: Callable[..., Data]
    network: Callable[..., Network]
    optimizer: Callable[[dict], Optimizer]
    loss: Loss
    epochs: int
    batch_size: int
    expected: str
    figure: Callable | None = None
    fit: dict | Callable[[dict], dict] | None = None
    sizes: Callable[[Data], dict] | None = None
    published: dict | None = None
    rehearsal: tuple[int, Callable[[dict], Optimizer]] | None = None

    def as_published(self) -> Recipe:
        """The same experiment with the authors' training."""
        if self.published is None:
            raise ValueError(f"recipe {self.name} has no other training than its own; leave out --published")
        given = self.published
        return self._replace(epochs=given["epochs"], batch_size=given["batch_size"],
                             options=self.options | given["options"], published=None)

    def rehearsed(self) -> Recipe:
        """The same experiment as it is trained on synthetic data where nothing else is said."""
        if self.rehearsal is None:
            return self
        epochs, optimizer = self.rehearsal
        return self._replace(epochs=epochs, optimizer=optimizer, rehearsal=None)

    def further(self, options: dict) -> dict:
        """The further keywords of `numsnn.fit`."""
        return self.fit(options) if callable(self.fit) else self.fit or {}

    def configured(self, settings: dict) -> dict:
        """The options with `settings` (name -> text or value) in place of defaults."""
        options = dict(self.options)
        for key, value in settings.items():
            if key not in options:
                raise ValueError(f"recipe {self.name} has no option {key!r}; there are {', '.join(options)}")
            default = options[key]
            try:
                options[key] = _like(default, value)
            except (ValueError, KeyError):
                kind = type(default).__name__
                raise ValueError(f"option {key} of recipe {self.name} is a {kind} such as {default!r}; "
                                 f"got {value!r}") from None
        return options


def _like(default, value):
    """A value, or its text, as what the default is."""
    if isinstance(default, bool):
        return {"true": True, "false": False}[str(value).lower()]
    return type(default)(value)

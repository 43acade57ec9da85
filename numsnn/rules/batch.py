"""Loss and gradients of a batch by a rule without a tape: chunks in threads, a few steps at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import numpy as np

from ..checked import what_it_is
from ..devices import threads
from ..layers.layer import positive_integer
from ..loss import Loss
from ..network import chunking, stages
from ..network.chunks import join, join_states, part, samples
from ..network.gradients import answer_lengths, answer_shape
from ..network.network import Network
from ..network.tape import BatchResult
from ..signals.spikes import Spikes
from .answers import Each
from .eprop import EProp
from .feedback import Feedback
from .fptt import FPTT
from .online import Online
from .ottt import OTTT, SLTT

STEPS = 32          # that go through a chunk together: as many as stay in the cache
MATRICES = 0, 0, 1  # their stream of random numbers, beside those of epochs and batches
RULES: dict[str, type[Online]] = {"eprop": EProp, "ottt": OTTT, "sltt": SLTT}


class Rule:
    """A rule by name, for all batches of a training: what it draws at random is drawn once.

    settings: further arguments of the rule's class, such as feedback="random" of "eprop".
    """

    def __init__(self, net: Network, loss: Loss, name: str, settings: Mapping[str, Any], seed: int):
        self.name, self.settings, self.make = name, dict(settings), RULES[name]
        check_settings(name, self.settings, self.make)
        one = self._online(net, loss, 1, np.random.default_rng([seed, *MATRICES]))
        self.feedback: Feedback | None = getattr(one, "feedback", None)

    @property
    def resumes(self) -> bool:
        """Whether a training with it goes on from a checkpoint, which holds none of its matrices."""
        return self.feedback is None or self.feedback.kind != "adaptive"

    def _online(self, net, loss, batch, rng=None):
        return self.make(net, loss, **{"batch": batch, "rng": rng, **self.settings})

    def loss_and_gradients(self, net: Network, loss: Loss, x: Any, labels: Any, *, mask: Any, lengths: Any,
                           rng: np.random.Generator) -> BatchResult:
        """As Network.loss_and_gradients."""
        x = net._input(x)
        steps, batch = x.shape[:2]
        if not steps or not batch:
            raise ValueError(f"expected at least one step of one sample; got x of shape {tuple(x.shape)}")
        state, lengths = net._state(None, batch, rng), net._lengths(lengths, x)
        given = loss.check(answer_shape(net, steps, batch), labels, mask, answer_lengths(net, lengths))
        (stage,) = net.graph.stages(True)
        bounds = chunking.bounds(net, batch, stage)
        found: list[Any] = [None] * len(bounds)

        def of(c):
            first, last = bounds[c]
            online = self._online(net, loss, last - first)
            if self.feedback is not None:
                online.use(self.feedback)
            online.reset(stages.rows_of(state, first, last))
            answer = _answers(online, x, given, lengths, first, last)
            found[c] = online.loss, online.gradients(), answer, online.state
        threads.run(of, len(bounds), chunking.work(net, steps, batch))
        losses, grads, answers, after = zip(*found, strict=True)
        joined = {name: join_states([one[name] for one in after]) for name in net.layers}
        return BatchResult(sum(losses), stages.summed(grads), join(list(answers)), joined)


def _answers(online: Online, x: Any, given: tuple, lengths: np.ndarray | None, first: int, last: int) -> Any:
    """What the network answers for some samples of a batch; the rule learns from it."""
    net, steps = online.net, x.shape[0]
    x = samples(x, first, last)
    each = isinstance(online.answer, Each)
    given = tuple(part(a, first, last, each) for a in given)
    found = []
    for begin in range(0, steps, STEPS):
        piece = slice(begin, min(begin + STEPS, steps))
        inside = None if lengths is None else \
            np.clip(lengths[first:last] - begin, 0, piece.stop - begin)
        told: tuple | None = given if piece.stop == steps else None
        if each:
            told = tuple(a[piece] for a in given)
        now = x[piece]
        now = now.dense(net.dtype) if isinstance(now, Spikes) else np.ascontiguousarray(now)
        found.append(online.run(now, told, inside))
    return np.concatenate(found) if each else found[-1]


class Pieces:
    """FPTT as the rule of a training: an update every few steps; averages begin anew with each epoch."""

    name = "fptt"

    def __init__(self, net: Network, settings: Mapping[str, Any]):
        settings = {"every": 10, **settings}
        every = settings.pop("every")
        check_settings(self.name, settings, FPTT)
        if not net.loops.HOST:
            raise ValueError(f'rule "fptt" works on the host, not on device "{net.device}"; train a copy '
                             f'there, net.to("cpu")')
        self.every = positive_integer(every, 'rule "fptt": every')
        self.fptt = FPTT(net.params, **settings)


def named(rule: Any) -> tuple[str, dict[str, Any]]:
    """(name, settings) of what `fit` is given as its rule; ValueError where there is none of that name."""
    if isinstance(rule, Mapping):
        settings = dict(rule)
        name = settings.pop("name", None)
    else:
        name, settings = rule, {}
    known = ("bptt", *RULES, "fptt")
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"rule must be one of {', '.join(map(repr, known))}, or a dict with it as \"name\" "
                         f"and its settings; got {what_it_is(rule)}")
    if name == "bptt" and settings:
        raise ValueError(f"rule \"bptt\" has no settings; got {next(iter(settings))!r}")
    return name, settings


def check_settings(name: str, settings: Mapping[str, Any], make: Callable) -> None:
    """TypeError where a setting is no argument of what makes the rule, or one that fit gives."""
    known = [p.name for p in signature(make).parameters.values()
             if p.kind is p.KEYWORD_ONLY and p.name not in ("batch", "rng")]
    for key in settings:
        if key not in known:
            raise TypeError(f"rule {name!r} has no setting {key!r}; it has {', '.join(known) or 'none'}")

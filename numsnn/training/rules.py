"""The learning rule of a training: `fit(rule=...)`."""

from __future__ import annotations

from typing import Any

from ..loss import Loss
from ..network.network import Network
from ..ranks import Ranks
from ..rules.batch import Rule, named


def of(rule: Any, net: Network, loss: Loss, seed: int, resume: bool) -> Rule | None:
    """The rule, None for BPTT; ValueError where it cannot serve a layer, or resume."""
    name, settings = named(rule)
    if name == "bptt":
        return None
    made = Rule(net, loss, name, settings, seed)
    if resume and not made.resumes:
        raise ValueError(f'rule "{name}" with feedback="adaptive" follows the weights from where a training '
                         f"began, which no checkpoint holds: resume=True goes with feedback=\"random\" or "
                         f'"symmetric"')
    return made


def refuse(rule: Rule | None, ranks: Ranks, **of_tape: Any) -> None:
    """ValueError where arguments of `fit` that speak of the tape of BPTT stand beside a rule without one."""
    if rule is None:
        return
    for what, value in of_tape.items():
        if value not in (None, ()):
            raise ValueError(f'rule "{rule.name}" keeps no tape, and so does not go with {what}; leave it '
                             f'out, or use rule="bptt"')
    if ranks.size > 1:
        raise ValueError(f'rule "{rule.name}" does not work over ranks; leave comm out, or use rule="bptt"')

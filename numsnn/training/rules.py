"""The learning rule of a training: `fit(rule=...)`."""

from __future__ import annotations

from typing import Any

from ..loss import Loss
from ..network.network import Network
from ..ranks import Ranks
from ..rules.batch import Pieces, Rule, named


def of(rule: Any, net: Network, loss: Loss, seed: int, resume: bool, tbptt: int | None,
       step_inside: bool) -> tuple[Rule | Pieces | None, int | None, bool]:
    """(the rule, None for BPTT; tbptt; step_inside).  ValueError where it cannot serve a layer, or resume."""
    name, settings = named(rule)
    if name == "bptt":
        return None, tbptt, step_inside
    if name == "fptt":
        if tbptt is not None or not step_inside:
            raise ValueError('rule "fptt" cuts sequences by its own setting, {"name": "fptt", "every": 10}, '
                             'and updates after each piece; leave tbptt and step_inside out')
        pieces = Pieces(net, settings)
        return pieces, pieces.every, True
    made = Rule(net, loss, name, settings, seed)
    if resume and not made.resumes:
        raise ValueError(f'rule "{name}" with feedback="adaptive" follows the weights from where a training '
                         f"began, which no checkpoint holds: resume=True goes with feedback=\"random\" or "
                         f'"symmetric"')
    return made, tbptt, step_inside


def refuse(rule: Rule | Pieces | None, ranks: Ranks, **of_tape: Any) -> None:
    """ValueError where arguments of `fit` that speak of the tape of BPTT stand beside a rule without one."""
    if not isinstance(rule, Rule):
        return
    for what, value in of_tape.items():
        if value not in (None, ()):
            raise ValueError(f'rule "{rule.name}" keeps no tape, and so does not go with {what}; leave it '
                             f'out, or use rule="bptt"')
    if ranks.size > 1:
        raise ValueError(f'rule "{rule.name}" does not work over ranks; leave comm out, or use rule="bptt"')

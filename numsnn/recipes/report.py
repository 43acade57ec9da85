"""The report of a recipe's training: that of any network, with what the run was."""

import platform
from pathlib import Path

from ..devices.threads import get_num_threads
from ..network.network import Network
from ..reports import report
from ..training.history import History
from . import Data, Recipe


def write(out: Path, recipe: Recipe, net: Network, history: History, data: Data, about: dict) -> str:
    """Evaluate the network on the test set and write its report to `out`, see `numsnn.report`.

    about: recipe, options, seed, data, versions: what the run was, as config.json has it.
    Returns the text of the report.
    """
    facts = {**about, "threads": get_num_threads(), "machine": platform.machine()}
    written = report(net, data.test, out, history=history, title=recipe.name, draw=recipe.figure, facts=facts,
                     intro=f"{recipe.summary}; {recipe.expected}")
    return written.text

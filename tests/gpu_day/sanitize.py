"""compute-sanitizer on a small network of each kind (kinds.py): memory, races, barriers, what is read before
it is written; and the same networks without it, whose numbers stand in the log.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from notes import note, own_cache, seconds_left

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
KINDS = str(Path(__file__).with_name("kinds.py"))
SUMMARY = re.compile(r"=+ (?:ERROR|RACECHECK) SUMMARY: (.*)")


def sanitizer():
    """The program: on the path, where CUDA is installed, or in a package; None: nowhere."""
    inside = Path(sysconfig.get_paths()["purelib"], "nvidia")
    places = [Path("/usr/local/cuda/bin"), *sorted(inside.glob("**/bin"))]
    found = (shutil.which("compute-sanitizer", path=place) for place in (None, *map(str, places)))
    return next(filter(None, found), None)


def ended(process, text):
    """How a run of a tool ended, in a line; what it said is printed."""
    try:
        status = process.wait(max(seconds_left(), 0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        status = "time was up"
    said = text.read_text()
    summary, kinds = SUMMARY.search(said), len(re.findall(": loss ", said))
    print(f"\n---- {text.stem}: {status}\n{said[:1500]}\n...\n{said[-3000:]}")
    return f"{summary[1] if summary else f'ended ({status})'}; {kinds} kinds of network ran"


def main(folder):
    program, commands = sanitizer(), {"without": [sys.executable, KINDS]}
    if program is not None:
        commands |= {tool: [program, "--tool", tool, sys.executable, KINDS] for tool in TOOLS}
    note(folder, "sanitize", program=program or "compute-sanitizer is not there: it needs a GPU machine's")
    with tempfile.TemporaryDirectory() as own:
        texts = {tool: Path(own, f"{tool}.txt") for tool in commands}
        running = {tool: subprocess.Popen(command, stdout=texts[tool].open("w"), stderr=subprocess.STDOUT,
                                          env={**os.environ, **own_cache(texts[tool])})
                   for tool, command in commands.items()}
        results = {tool: ended(process, texts[tool]) for tool, process in running.items()}
        note(folder, "sanitize", tools=results)


main(sys.argv[1])

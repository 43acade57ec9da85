"""The guide: every code block runs, the pages of the API are current, links lead somewhere.

A block of Python runs in the name space of its page, in an empty folder, with what blocks before it left;
`python file=NAME` is written to a file.  Blocks of `sh` run line by line where a line is a command of numsnn.
`python gpu` runs on the CPU where no GPU is.
"""

import re
import shlex

import matplotlib as mpl
import pytest

import numsnn as ns
from numsnn import cli, guide
from numsnn.guide import api

BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OTHERS = ("python -m venv", "python3 -m venv", "pip install", ".venv/bin/pip install", "git clone")


def has_gpu():
    try:
        ns.devices.get("cuda")
    except (ImportError, OSError):
        return False
    return True


@pytest.mark.parametrize("name", guide.PAGES)
def test_every_block_runs(name, tmp_path, monkeypatch, own_models):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    mpl.use("Agg")
    threads = ns.get_num_threads()
    space = {"__name__": "__main__"}
    blocks = BLOCK.findall(guide.page(name))
    assert blocks, f"{name}.md has no code"
    for language, more, code in blocks:
        if language == "python":
            if "gpu" in more and not has_gpu():
                code = code.replace('"cuda"', '"cpu"')
            if "file=" in more:
                (tmp_path / more.partition("file=")[2].strip()).write_text(code)
            else:
                exec(compile(code, f"{name}.md", "exec"), space)     # noqa: S102  the page's own code
        elif language == "sh":
            run_lines(code)
        else:
            assert language == "text", f"{name}.md: a block of {language!r} is not run by anyone"
    ns.set_num_threads(threads)


def run_lines(code):
    for line in code.splitlines():
        command = line.partition("#")[0].strip().removeprefix(".venv/bin/")
        if command.startswith("numsnn "):
            assert cli.main(shlex.split(command)[1:]) == 0, line
        else:
            assert not command or command.startswith(OTHERS), f"nobody runs {line!r}"


def test_pages_of_the_api_are_current():
    for name, text in api.pages().items():
        path = api.FOLDER / f"{name}.md"
        current = path.is_file() and path.read_text() == text
        assert current, f"{name}.md is old; run python -m numsnn.guide.api"
    assert {path.stem for path in api.FOLDER.glob("*.md")} == set(api.ROOMS)


def test_every_public_name_is_on_a_page():
    text = "\n".join(guide.page(f"api/{name}") for name in api.ROOMS)
    for name in ns.__all__:
        assert re.search(rf"`{name}\b", text), name


def test_links_lead_somewhere():
    for name in guide.PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", guide.page(name)):
            if "://" not in target:
                assert (guide.FOLDER / f"{name}.md").parent.joinpath(target).exists(), f"{name}.md: {target}"


def test_the_command(capsys):
    assert cli.main(["guide"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in guide.names())
    assert cli.main(["guide", "start"]) == 0
    assert capsys.readouterr().out.startswith("# ")
    assert cli.main(["guide", "nothing"]) == 2
    assert "there are start, axes" in capsys.readouterr().err

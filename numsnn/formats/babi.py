"""bAbI stories (version 1.2): plain text, one numbered line for each statement and question.

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary? <TAB> bathroom <TAB> 1

A question has its answer behind a tab, and behind a second one the numbers of the lines that support it.  The
number 1 begins a new story.

Source: Weston et al., Towards AI-Complete Question Answering, arXiv 1502.05698 (2015), and the files
themselves.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ..checked import checked
from .problems import Problems, existing

MOST = 1 << 28                  # bytes of a file


class Statement(NamedTuple):
    """number: of its line; text."""
    number: int
    text: str


class Question(NamedTuple):
    """number: of its line; text; answer, as it stands ("milk,football" is one answer).

    supports: the lines that answer it.
    """
    number: int
    text: str
    answer: str
    supports: tuple[int, ...]


class Story(NamedTuple):
    """Statements and questions, each in order; a question is about the statements with smaller numbers."""
    statements: tuple[Statement, ...]
    questions: tuple[Question, ...]


class Stories(NamedTuple):
    """stories; problems: what was wrong and skipped, kind -> how often (strict=False)."""
    stories: tuple[Story, ...]
    problems: Counter[str]


@checked
def read(path: Path | str, strict: bool = True) -> Stories:
    """The stories of a file.

    strict: raise FormatError at the first line that is wrong, else skip and count such lines.
    """
    return parse(existing(Path(path)).read_bytes(), path, strict)


@checked
def parse(content: bytes, path: Path | str, strict: bool = True) -> Stories:
    """The stories in the bytes of a file; path: what errors call it."""
    problems = Problems(path, strict)
    stories: list[Story] = []
    statements: list[Statement] = []        # of the story that is being read, as the next three
    questions: list[Question] = []
    seen: set[int] = set()                  # numbers of its statements
    expected = 1                            # number of its next line
    for i, line in enumerate(content.split(b"\n"), 1):
        where = f"line {i}"
        if not line.strip():
            continue
        number, fields = _line(line, where, problems)
        if number is None:
            continue
        if number == 1:
            _keep(stories, statements, questions)
            statements, questions, seen = [], [], set()
            expected = 1
        if number != expected:
            problems.found("line out of order", f"expected the number {expected}, got {number}", where)
        if len(fields) == 1:
            statements.append(Statement(number, fields[0]))
            seen.add(number)
        elif (question := _question(number, fields, seen, where, problems)) is not None:
            questions.append(question)
        expected = number + 1
    _keep(stories, statements, questions)
    if not any(story.questions for story in stories):
        raise problems.fatal("no question in it",
                             remedy="a bAbI file has lines like `3 Where is Mary?<TAB>bathroom<TAB>1`")
    return Stories(tuple(stories), problems.counts)


def _keep(stories, statements, questions):
    if statements or questions:
        stories.append(Story(tuple(statements), tuple(questions)))


def _line(line, where, problems):
    """(number, text before and behind the tabs), or (None, None)."""
    try:
        number, _, text = line.decode("utf-8").strip().partition(" ")
    except UnicodeDecodeError as error:
        problems.found("text is not UTF-8", str(error), where)
        return None, None
    if not (_is_number(number) and int(number) and text.strip()):
        problems.found("line without number or text", f"expected `number text`; got {line[:40]!r}", where)
        return None, None
    return int(number), [field.strip() for field in text.split("\t")]


def _is_number(text):
    return text.isascii() and text.isdigit() and len(text) < 10


def _question(number, fields, seen, where, problems):
    """A question, or None where it is none."""
    text, answer, supports = (*fields, "")[:3]
    ids = supports.split()
    if len(fields) > 3 or not text or not answer or not all(map(_is_number, ids)):
        problems.found("question without answer or with wrong fields", f"got {fields[:4]!r}", where)
        return None
    supports = tuple(map(int, ids))
    if not seen.issuperset(supports):
        detail = f"{supports} of the statements {sorted(seen)[:20]}"
        problems.found("support is no earlier statement", detail, where)
        supports = tuple(s for s in supports if s in seen)
    return Question(number, text, answer, supports)

"""bAbI question answering, tasks 1 to 20.

A story and a question are one sequence of words, the answer is the class.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..checked import MOST, SEEDS, checked, in_range
from ..formats import babi as stories
from ..formats.problems import FormatError
from ..formats.source import Source
from .dataset import Dataset

TASKS = (
    "single-supporting-fact",
    "two-supporting-facts",
    "three-supporting-facts",
    "two-arg-relations",
    "three-arg-relations",
    "yes-no-questions",
    "counting",
    "lists-sets",
    "simple-negation",
    "indefinite-knowledge",
    "basic-coreference",
    "conjunction",
    "compound-coreference",
    "time-reasoning",
    "basic-deduction",
    "basic-induction",
    "positional-reasoning",
    "size-reasoning",
    "path-finding",
    "agents-motivations",
)
FROM = ("the files are in tasks_1-20_v1-2.tar.gz of the bAbI project of Facebook AI Research, "
        "folders en, en-10k ...")
CITATION = ("Weston et al., Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks, "
            "arXiv 1502.05698 (2015)")
# a real task has far less
MOST_WORDS = 1 << 26            # of all stories
MOST_STEPS = 1 << 27            # of all padded sequences

PEOPLE = ("Anna", "Ben", "Carla", "Dan")                            # of made-up stories
PLACES = ("garden", "kitchen", "office", "cellar", "attic")


class Example(NamedTuple):
    """Words of the story and of the question, and the answer."""
    story: tuple[str, ...]
    question: tuple[str, ...]
    answer: str


class Task(NamedTuple):
    """The two parts of a task, and its words.

    train, test: data sets with x (T, B, 1) int32, the index of each word, 0 = padding, and y (B,), index
    into classes.

    vocabulary: the words in order; word i has the index i + 1, so that `Embedding(len(vocabulary) + 1, ...)`
    takes x.
    """
    train: Dataset
    test: Dataset
    vocabulary: tuple[str, ...]


@checked
def file_name(task: int, part: str) -> str:
    """The name of a task's file; part: "train" or "test"."""
    if task not in range(1, len(TASKS) + 1) or part not in ("train", "test"):
        raise ValueError(f"bAbI has the tasks 1 to {len(TASKS)} and the parts 'train', 'test'; "
                         f"got {task!r}, {part!r}")
    return f"qa{task}_{TASKS[task - 1]}_{part}.txt"


@checked
def words(text: str, lower: bool = False, punctuation: bool = True) -> tuple[str, ...]:
    """A text in words.

    It is cut at `\\W+`; punctuation: whether "." and "?" are words too, as in the Keras example.
    """
    border = r"(\W+)" if punctuation else r"\W+"
    cut = re.split(border, text.lower() if lower else text)
    return tuple(word for part in cut if (word := part.strip()))


@checked
def examples(source: Path | str, task: int, part: str, lower: bool = False, punctuation: bool = True,
             supporting: bool = False) -> list[Example]:
    """The questions of a task with their stories so far; source and options as in `load`."""
    files = Source(source)
    name = file_name(task, part)
    try:
        content = files.read(name, stories.MOST)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; {FROM}") from None
    found: list[Example] = []
    total = 0
    for story in stories.parse(content, files.where(name)).stories:
        said = {s.number: words(s.text, lower, punctuation) for s in story.statements}
        for q in story.questions:
            told = q.supports if supporting else [number for number in said if number < q.number]
            so_far = tuple(word for number in told for word in said[number])
            answer = q.answer.lower() if lower else q.answer
            found.append(Example(so_far, words(q.text, lower, punctuation), answer))
            total += len(so_far)
            if total > MOST_WORDS:
                raise FormatError(files.where(name),
                                  f"the stories of all questions have more than {MOST_WORDS:,} words")
    return found


@checked
def load(source: Path | str, task: int, test: Path | str | None = None, *, lower: bool = False,
         punctuation: bool = True, supporting: bool = False, apart: bool = False,
         padding: str = "front") -> Task:
    """A task of bAbI, 1 to 20, as in the Keras example babi_rnn.

    source: the folder of a language and size (tasks_1-20_v1-2/en), a zip file with its files, or ZIP/FOLDER;
    test: where the test part is, if elsewhere (en and en-10k have the same one).

    The vocabulary is all words of stories, questions and answers of both parts, sorted; an answer of several
    words ("milk,football") is one word and one class.  Padding stands in front, so that the last step is the
    end of the question.

    lower: all in small letters; punctuation: see `words`; supporting: of the story only the statements that
    support the answer.
    padding: "front", as in Keras; or "end": the sets then have lengths, so that padded steps are not
    computed, and batches by length.
    apart: pad story and question each by itself, in front, to the longest of its kind (as LIAF's authors do);
    False: one after the other.
    """
    if padding not in ("front", "end") or apart and padding == "end":
        raise ValueError(f"padding must be 'front' or 'end', and 'front' with apart=True; got {padding!r}")
    places = {"train": source, "test": source if test is None else test}
    parts = {part: examples(place, task, part, lower, punctuation, supporting)
             for part, place in places.items()}
    sources = {part: f"bAbI 1.2, {file_name(task, part)}. {CITATION}" for part in parts}
    return _task(parts, f"bAbI task {task} ({TASKS[task - 1]})", sources, apart, padding == "end")


@checked
def made_up(n: int, seed: int = 0, statements: int = 4) -> Task:
    """Made-up stories of the kind of task 1, n questions in each part.

    People go from place to place, and where is one of them?
    """
    in_range(1, MOST, n=n, statements=statements)
    in_range(0, SEEDS, seed=seed)
    rng = np.random.default_rng(seed)
    parts = {part: [_made_up(rng, statements) for _ in range(n)] for part in ("train", "test")}
    sources = dict.fromkeys(parts, f"SYNTHETIC stories, seed {seed}; not bAbI")
    return _task(parts, "made-up stories", sources, False, True)


def _made_up(rng, statements):
    """A made-up story with its question."""
    who = rng.integers(len(PEOPLE), size=statements)
    where = rng.integers(len(PLACES), size=statements)
    story = []
    for person, place in zip(who, where, strict=True):
        story += [PEOPLE[person], "went", "to", "the", PLACES[place], "."]
    asked = rng.choice(who)
    last = np.flatnonzero(who == asked)[-1]
    return Example(tuple(story), ("Where", "is", PEOPLE[asked], "?"), PLACES[where[last]])


def _task(parts, name, sources, apart, at_end):
    """Data sets of examples."""
    all_examples = [e for part in parts.values() for e in part]
    vocabulary = tuple(sorted({word for e in all_examples for word in (*e.story, *e.question, e.answer)}))
    index = {word: i for i, word in enumerate(vocabulary, 1)}
    answers = tuple(sorted({e.answer for e in all_examples}))
    label = {answer: i for i, answer in enumerate(answers)}
    widths = [max(map(len, kind)) for kind in zip(*(_blocks(e, apart) for e in all_examples), strict=True)]
    if sum(widths) * len(all_examples) > MOST_STEPS:
        raise ValueError(f"{name}: {len(all_examples):,} sequences of {sum(widths):,} steps are more than "
                         f"memory can be expected to hold")
    sets = []
    for part, found in parts.items():
        x = _padded([_blocks(e, apart) for e in found], index, widths, at_end)
        y = np.array([label[e.answer] for e in found])
        lengths = np.array([len(e.story) + len(e.question) for e in found]) if at_end else None
        sets.append(Dataset(x, y, classes=answers, lengths=lengths, by_length=at_end,
                            name=f"{name}, {part}", source=sources[part]))
    return Task(*sets, vocabulary)


def _blocks(example, apart):
    """The words of an example in the blocks that are padded each by itself."""
    if apart:
        return example.story, example.question
    return example.story + example.question,


def _padded(samples, index, widths, at_end):
    """(T, B, 1) int32: each block of a sample at the end of its steps, or with at_end at their beginning."""
    x = np.zeros((sum(widths), len(samples), 1), np.int32)
    ends = np.cumsum(widths)
    for b, blocks in enumerate(samples):
        for end, width, block in zip(ends, widths, blocks, strict=True):
            first = end - width if at_end else end - len(block)
            x[first:first + len(block), b, 0] = [index[word] for word in block]
    return x

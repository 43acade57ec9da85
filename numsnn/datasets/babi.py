"""bAbI question answering, tasks 1 to 20: a story and a question as one sequence of words, the answer as the class."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from ..formats import babi as stories
from ..formats.problems import FormatError
from ..formats.source import Source
from .dataset import Dataset

TASKS = ("single-supporting-fact", "two-supporting-facts", "three-supporting-facts", "two-arg-relations", "three-arg-relations",
         "yes-no-questions", "counting", "lists-sets", "simple-negation", "indefinite-knowledge", "basic-coreference", "conjunction",
         "compound-coreference", "time-reasoning", "basic-deduction", "basic-induction", "positional-reasoning", "size-reasoning",
         "path-finding", "agents-motivations")
FROM = "the files are in tasks_1-20_v1-2.tar.gz of the bAbI project of Facebook AI Research, folders en, en-10k ..."
MOST_WORDS, MOST_STEPS = 1 << 26, 1 << 27        # words of all stories, steps of all padded sequences: a real task has far less
CITATION = "Weston et al., Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks, arXiv 1502.05698 (2015)"


class Example(NamedTuple):
    """Words of the story and of the question, and the answer."""
    story: tuple[str, ...]
    question: tuple[str, ...]
    answer: str


class Task(NamedTuple):
    """train, test: data sets with x (T, B, 1) int32, the index of each word, 0 = padding, and y (B,), index into classes.

    vocabulary: the words in order; word i has the index i + 1, so that `Embedding(len(vocabulary) + 1, ...)` takes x.
    """
    train: Dataset
    test: Dataset
    vocabulary: tuple[str, ...]


def file_name(task: int, part: str) -> str:
    """The name of a task's file; part: "train" or "test"."""
    if task not in range(1, len(TASKS) + 1) or part not in ("train", "test"):
        raise ValueError(f"bAbI has the tasks 1 to {len(TASKS)} and the parts 'train', 'test'; got {task!r}, {part!r}")
    return f"qa{task}_{TASKS[task - 1]}_{part}.txt"


def words(text: str, lower: bool = False, punctuation: bool = True) -> tuple[str, ...]:
    """A text in words.  It is cut at `\\W+`; punctuation: whether "." and "?" are words too, as in the Keras example."""
    cut = re.split(r"(\W+)" if punctuation else r"\W+", text.lower() if lower else text)
    return tuple(word for part in cut if (word := part.strip()))


def examples(source, task: int, part: str, lower: bool = False, punctuation: bool = True, supporting: bool = False) -> list[Example]:
    """The questions of a task with their stories so far; source and options as in `load`."""
    source, name = Source(source), file_name(task, part)
    try:
        content = source.read(name, stories.MOST)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; {FROM}") from None
    split = lambda text: words(text, lower, punctuation)
    found, total = [], 0
    for story in stories.parse(content, source.where(name)).stories:
        said = {s.number: split(s.text) for s in story.statements}
        for q in story.questions:
            told = q.supports if supporting else (number for number in said if number < q.number)
            found.append(Example(tuple(word for number in told for word in said[number]), split(q.text),
                                 q.answer.lower() if lower else q.answer))
            total += len(found[-1].story)
            if total > MOST_WORDS:
                raise FormatError(source.where(name), f"the stories of all questions have more than {MOST_WORDS:,} words")
    return found


def load(source, task: int, test=None, *, lower: bool = False, punctuation: bool = True, supporting: bool = False,
         apart: bool = False, padding: str = "front") -> Task:
    """A task of bAbI, 1 to 20, as in the Keras example babi_rnn.

    source: the folder of a language and size (tasks_1-20_v1-2/en), a zip file with its files, or ZIP/FOLDER; test: where the test part is, if
    elsewhere (en and en-10k have the same one).
    The vocabulary is all words of stories, questions and answers of both parts, sorted; an answer of several words ("milk,football") is one
    word and one class.  Padding stands in front, so that the last step is the end of the question.
    lower: all in small letters; punctuation: see `words`; supporting: of the story only the statements that support the answer.
    padding: "front", as in Keras; or "end": the sets then have lengths, so that padded steps are not computed, and batches by length.
    apart: pad story and question each by itself, in front, to the longest of its kind (as LIAF's authors do); False: one after the other.
    """
    if padding not in ("front", "end") or apart and padding == "end":
        raise ValueError(f"padding must be 'front' or 'end', and 'front' with apart=True; got {padding!r}")
    parts = {part: examples(where, task, part, lower, punctuation, supporting)
             for part, where in (("train", source), ("test", source if test is None else test))}
    return _task(parts, f"bAbI task {task} ({TASKS[task - 1]})", lambda part: f"bAbI 1.2, {file_name(task, part)}. {CITATION}", apart, padding == "end")


def made_up(n: int, seed: int = 0, statements: int = 4) -> Task:
    """Made-up stories of the kind of task 1, n questions in each part: people go from place to place, and where is one of them?"""
    rng, parts = np.random.default_rng(seed), {}
    people, places = ("Anna", "Ben", "Carla", "Dan"), ("garden", "kitchen", "office", "cellar", "attic")
    for part in ("train", "test"):
        parts[part] = []
        for _ in range(n):
            who, where = rng.integers(len(people), size=statements), rng.integers(len(places), size=statements)
            story = [word for p, q in zip(who, where, strict=True) for word in (people[p], "went", "to", "the", places[q], ".")]
            asked = rng.choice(who)
            parts[part].append(Example(tuple(story), ("Where", "is", people[asked], "?"), places[where[np.flatnonzero(who == asked)[-1]]]))
    return _task(parts, "made-up stories", lambda part: f"SYNTHETIC stories, seed {seed}; not bAbI", False, True)


def _task(parts, name, source, apart, at_end):
    """Data sets of examples."""
    all_of_it = [e for part in parts.values() for e in part]
    vocabulary = tuple(sorted({word for e in all_of_it for word in (*e.story, *e.question, e.answer)}))
    index = {word: i for i, word in enumerate(vocabulary, 1)}
    answers = tuple(sorted({e.answer for e in all_of_it}))
    number = {answer: i for i, answer in enumerate(answers)}
    sequences = (lambda e: (e.story, e.question)) if apart else (lambda e: (e.story + e.question,))
    widths = [max(map(len, kind)) for kind in zip(*map(sequences, all_of_it), strict=True)]
    if sum(widths) * len(all_of_it) > MOST_STEPS:
        raise ValueError(f"{name}: {len(all_of_it):,} sequences of {sum(widths):,} steps are more than memory can be expected to hold")
    sets = (Dataset(_padded([sequences(e) for e in found], index, widths, at_end), np.array([number[e.answer] for e in found]), classes=answers,
                    lengths=np.array([len(e.story) + len(e.question) for e in found]) if at_end else None, by_length=at_end,
                    name=f"{name}, {part}", source=source(part))
            for part, found in parts.items())
    return Task(*sets, vocabulary)


def _padded(samples, index, widths, at_end):
    """(T, B, 1) int32: each block of each sample at the end of its steps, or at their beginning where padding is at_end."""
    x = np.zeros((sum(widths), len(samples), 1), np.int32)
    ends = np.cumsum(widths)
    for b, blocks in enumerate(samples):
        for end, width, block in zip(ends, widths, blocks, strict=True):
            first = end - width if at_end else end - len(block)
            x[first:first + len(block), b, 0] = [index[word] for word in block]
    return x

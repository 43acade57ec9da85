"""bAbI: the real tasks, stories written here, damaged files."""

import zipfile

import numpy as np
import pytest
from mutations import mutations, survives

from numsnn.datasets import babi
from numsnn.formats import FormatError, babi as stories

STORY = (b"1 Mary moved to the bathroom.\n"
         b"2 John went to the hallway.\n"
         b"3 Where is Mary? \tbathroom\t1\n"
         b"4 Mary got the milk there.\n"
         b"5 What is Mary carrying?\tmilk,football\t4 1\n"
         b"1 Sandra went away.\n"
         b"2 Where is Sandra?\tnowhere\t1\n")


@pytest.fixture(scope="module")
def en(data_folder):
    folder = data_folder / "babi" / "tasks_1-20_v1-2" / "en"
    if not folder.is_dir():
        pytest.skip(f"no bAbI tasks in {folder}")
    return folder


@pytest.fixture
def small(tmp_path):
    """Task 1 with the story above for training and for the test."""
    for part in ("train", "test"):
        (tmp_path / babi.file_name(1, part)).write_bytes(STORY)
    return tmp_path


def texts(story):
    """What is said, asked and answered."""
    for statement in story.statements:
        yield statement.text
    for question in story.questions:
        yield question.text
        yield question.answer.replace(",", " ")


def test_the_real_stories(en):
    """1000 questions in each of 40 files; 156 words with those of the answers, in small letters."""
    known = set()
    for task in range(1, 21):
        for part in ("train", "test"):
            found = stories.read(en / babi.file_name(task, part))
            assert not found.problems
            assert sum(len(s.questions) for s in found.stories) == 1000
            for story in found.stories:
                for text in texts(story):
                    known.update(babi.words(text, lower=True, punctuation=False))
                assert all(q.supports for q in story.questions)
    assert len(known) == 156


def test_all_tasks_as_data_sets(en):
    for task in range(1, 21):
        train, test, vocabulary = babi.load(en, task)
        assert len(train) == len(test) == 1000
        assert train.x.shape == test.x.shape
        assert train.x.dtype == np.int32
        assert train.x.max() <= len(vocabulary)
        assert (train.x[-1] == vocabulary.index("?") + 1).all()
        assert train.classes == test.classes
        assert set(train.classes) <= set(vocabulary)
        # padding only in front
        assert (np.diff((train.x[:, :, 0] > 0).astype(int), axis=0) >= 0).all()
        supported = babi.load(en, task, supporting=True)
        assert len(supported.train.x) <= len(train.x)
        assert (supported.train.y == train.y).all()
    assert babi.load(en, 8).train.classes.count("milk,football") == 1


def test_the_numbers_of_the_keras_example(en):
    """babi_rnn.py prints them: for task 2 the shapes, for task 1 the words.

    They are x (1000, 552), xq (1000, 5), y (1000, 36), the 0 of padding among the 36.
    """
    train, _, vocabulary = babi.load(en, 2, apart=True)
    assert len(vocabulary) + 1 == 36
    assert train.x.shape == (552 + 5, 1000, 1)
    assert (train.x[-5:] > 0).all()
    words = (". ? Daniel John Mary Sandra Where back bathroom bedroom garden hallway is journeyed kitchen "
             "moved office the to travelled went")
    assert babi.load(en, 1).vocabulary == tuple(words.split())


def test_ten_thousand_questions_from_a_zip_file(en, data_folder):
    archive = data_folder / "babi" / "tasks_1-20_v1-2_en-10k_train.zip"
    if not archive.is_file():
        pytest.skip(f"no en-10k training part at {archive}")
    train, test, vocabulary = babi.load(archive, 6, test=en)
    assert (len(train), len(test), train.classes) == (10000, 1000, ("no", "yes"))
    assert vocabulary == babi.load(en, 6).vocabulary
    for task, place in ((3, en), (2, None)):
        with pytest.raises(FileNotFoundError, match=r"no file .*en-10k_train.zip.*qa.*bAbI project"):
            babi.load(archive, task, test=place)


def test_a_real_question(en):
    train, _, vocabulary = babi.load(en, 1, lower=True, punctuation=False)
    told = [" ".join(vocabulary[i - 1] for i in train.x[:, b, 0] if i) for b in (0, 1)]
    assert told[0] == "mary moved to the bathroom john went to the hallway where is mary"
    assert told[1] == ("mary moved to the bathroom john went to the hallway daniel went back to the hallway "
                       "sandra moved to the garden where is daniel")
    assert [train.classes[train.y[b]] for b in (0, 1)] == ["bathroom", "hallway"]
    supporting = babi.load(en, 1, supporting=True, lower=True, punctuation=False)
    told = " ".join(supporting.vocabulary[i - 1] for i in supporting.train.x[:, 1, 0] if i)
    assert told == "daniel went back to the hallway where is daniel"


def test_stories_written_here(small):
    first, second = stories.read(small / babi.file_name(1, "train")).stories
    assert [s.number for s in first.statements] == [1, 2, 4]
    assert first.questions[1] == stories.Question(5, "What is Mary carrying?", "milk,football", (4, 1))
    assert second.questions[0].answer == "nowhere"
    train, test, vocabulary = babi.load(small, 1)
    words = ("Mary moved to the bathroom . John went hallway Where is ? got milk there What carrying "
             "milk,football Sandra away nowhere")
    assert vocabulary == tuple(sorted(words.split()))
    assert train.x.shape == (6 + 6 + 6 + 5, 3, 1)
    assert train.classes == ("bathroom", "milk,football", "nowhere")
    assert train.y.tolist() == [0, 1, 2]
    assert (train.x == test.x).all()
    say = lambda x: [" ".join(vocabulary[i - 1] if i else "_" for i in x[:, b, 0]) for b in range(3)]
    assert say(train.x)[2] == " ".join("_" * 15) + " Sandra went away . Where is Sandra ?"
    apart = say(babi.load(small, 1, apart=True).train.x)
    assert apart[2] == " ".join("_" * 14) + " Sandra went away . _ Where is Sandra ?"
    supporting = babi.load(small, 1, supporting=True)
    assert " ".join(supporting.vocabulary[i - 1] for i in supporting.train.x[:, 1, 0]) == \
        "Mary got the milk there . Mary moved to the bathroom . What is Mary carrying ?"
    assert "_" not in say(train.x)[1]
    assert babi.load(small, 1, lower=True).train.classes == train.classes
    assert "mary" in babi.load(small, 1, lower=True).vocabulary


def test_zip_and_folder_are_the_same(small, tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        for part in ("train", "test"):
            for folder in ("en", "en-10k"):
                archive.write(small / babi.file_name(1, part), f"tasks/{folder}/{babi.file_name(1, part)}")
    assert (babi.load(tmp_path / "t.zip" / "tasks" / "en", 1).train.x == babi.load(small, 1).train.x).all()
    with pytest.raises(FileNotFoundError, match="holds 2 files qa1.*name the folder"):
        babi.load(tmp_path / "t.zip", 1)


def test_what_is_wrong_is_told_or_counted(tmp_path):
    path = tmp_path / "x.txt"
    no_line = "line without number or text"
    out_of_order = "line out of order"
    no_question = "question without answer or with wrong fields"
    for content, message, kind in (
            (b"x Mary\n" + STORY, "line 1: line without number or text", no_line),
            (b"0 Mary\n" + STORY, "line 1: line without number", no_line),
            (STORY + b"4 Late.\n", "line 8: line out of order: expected the number 3, got 4", out_of_order),
            (STORY + b"3 Who?\t\t1\n", "question without answer", no_question),
            (STORY + b"3 Who?\tI\tone\n", "wrong fields", no_question),
            (STORY + b"3 Who?\tI\t1\t2\n", "wrong fields", no_question),
            (STORY + b"3 Who?\tI\t7\n", r"\(7,\) of the statements \[1\]", "support is no earlier statement"),
            (STORY + b"3 \xff\n", "text is not UTF-8", "text is not UTF-8")):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=message):
            stories.read(path)
        found = stories.read(path, strict=False)
        assert list(found.problems) == [kind]
        assert len(found.stories) == 2
    path.write_bytes(STORY.replace(b"\n", b"\r\n\r\n"))
    assert len(stories.read(path).stories) == 2


def test_what_is_refused(small, tmp_path):
    for task, part in ((0, "train"), (21, "train"), (1, "valid"), ("1", "train")):
        with pytest.raises(ValueError, match="tasks 1 to 20 and the parts 'train', 'test'"):
            babi.file_name(task, part)
    with pytest.raises(FileNotFoundError, match="no folder or zip file"):
        babi.load(tmp_path / "none", 1)
    for content, message in ((b"", "the file is empty"), (b"1 Mary moved.\n", "no question in it"),
                             (b"\x89PNG", "line 1"), (STORY[:20], "no question")):
        (small / babi.file_name(1, "test")).write_bytes(content)
        with pytest.raises(FormatError, match=message):
            babi.load(small, 1)


@pytest.mark.parametrize("strict", [True, False])
def test_mutated_files(tmp_path, strict):
    path, taken = tmp_path / "x.txt", 0
    for content in mutations(STORY, 400):
        path.write_bytes(content)
        taken += survives(lambda: stories.read(path, strict), 1 << 20)
    assert 0 < taken < 400


def test_mutated_tasks(small):
    taken = 0
    for content in mutations(STORY, 200, seed=1):
        (small / babi.file_name(1, "train")).write_bytes(content)
        taken += survives(lambda: babi.load(small, 1), 1 << 20)
    assert 0 < taken < 200


def test_a_file_that_tells_its_story_too_often_is_refused(small, monkeypatch):
    monkeypatch.setattr(babi, "MOST_WORDS", 20)
    with pytest.raises(FormatError, match="more than 20 words"):
        babi.load(small, 1)
    monkeypatch.setattr(babi, "MOST_WORDS", 1000)
    monkeypatch.setattr(babi, "MOST_STEPS", 50)
    with pytest.raises(ValueError, match="6 sequences of 23 steps are more"):
        babi.load(small, 1)


def test_padding_at_the_end_and_batches_by_length(tmp_path):
    """The same words, each sequence with its length; shuffled batches hold sequences of about one length."""
    lines = []
    place = lambda i: "garden" if i % 2 else "office"
    for story in range(30):
        lines += [f"{i + 1} Mary went to the {place(i)}." for i in range(story % 7 + 1)]
        lines.append(f"{story % 7 + 2} Where is Mary?\t{place(story)}\t1")
    for part in ("train", "test"):
        (tmp_path / babi.file_name(1, part)).write_text("\n".join(lines) + "\n")
    front, end = (babi.load(tmp_path, 1, padding=padding).train for padding in ("front", "end"))
    for b, n in enumerate(end.lengths):
        assert np.array_equal(front.x[-n:, b], end.x[:n, b]) and not end.x[n:, b].any() and end.x[:n, b].all()
    seen, spread = [], []
    for batch in end.batches(6, np.random.default_rng(0)):
        seen += batch.samples.tolist()
        spread.append(np.ptp(batch.lengths))
        assert len(batch.x) == batch.lengths.max()
    assert sorted(seen) == list(range(30)) and seen != sorted(seen)
    assert np.mean(spread) < np.ptp(end.lengths) / 2
    one, other = ([b.samples[0] for b in end.batches(6, np.random.default_rng(seed))] for seed in (0, 1))
    assert one != other
    assert end.split(0.2)[0].by_length
    with pytest.raises(ValueError, match="need the lengths"):
        front.__class__(front.x, front.y, by_length=True)
    with pytest.raises(ValueError, match="'front' with apart=True"):
        babi.load(tmp_path, 1, padding="end", apart=True)

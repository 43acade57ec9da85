"""Events as text: names, order, units of time, polarity, and what is refused rather than guessed."""

import zipfile

import numpy as np
import pytest

from numsnn import cli, formats
from numsnn.formats import FormatError

WANT = [(10, 1, 2, 1), (20, 3, 4, 0)]


def events_of(tmp_path, content, **options):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    return list(zip(*(c.tolist() for c in formats.read(path, **options).columns), strict=True))


def message(tmp_path, content, **options):
    with pytest.raises(FormatError) as error:
        events_of(tmp_path, content, **options)
    return str(error.value)


NAMED = {
    "a comment": b"# x y p t\n1 2 1 10\n3 4 0 20\n",
    "a comment after others": b"# made by me\n#\n% x, y, p, t\n1,2,1,10\n3,4,0,20\n",
    "a mark before UTF-8": b"\xef\xbb\xbfx,y,p,t\n1,2,1,10\n3,4,0,20\n",
    "blanks": b"x y p t\n1 2 1 10\n3 4 0 20\n",
    "tabs": b"x\ty\tp\tt\n1\t2\t1\t10\n3\t4\t0\t20\n",
    "semicolons": b"x;y;p;t\r\n1;2;1;10\r\n3;4;0;20\r\n",
    "a comma and a blank": b"x, y, p, t\n1, 2, 1, 10\n3, 4, 0, 20\n",
    "quotes": b'"x","y","p","t"\n1,2,1,10\n3,4,0,20\n',
    "quotes and blanks": b"'X' 'Y' 'P' 'T'\n1 2 1 10\n3 4 0 20\n",
    "long names": b"timestamp,x,y,polarity\n10,1,2,1\n20,3,4,0\n",
    "plurals": b"ts,xs,ys,ps\n10,1,2,1\n20,3,4,-1\n",
    "a name more": b"id,t,x,y,polarity\n7,10,1,2,1\n8,20,3,4,0\n",
    "an index without a name": b",t,x,y,p\n0,10,1,2,1\n1,20,3,4,0\n",
    "microseconds": b"t_us,x,y,p\n10,1,2,1\n20,3,4,0\n",
    "milliseconds": b"time [ms];x;y;p\n0.01;1;2;1\n0.02;3;4;0\n",
    "seconds": b"t(s) x y p\n0.00001 1 2 1\n2e-5 3 4 0\n",
    "truth": b"t,x,y,p\n10,1,2,True\n20,3,4,False\n",
    "floats that are whole": b"t,x,y,p\n10.0,1.0,2.0,1.0\n20.0,3.0,4.0,0.0\n",
    "no names": b"10,1,2,1\n20 3\t4;0\n",
}


@pytest.mark.parametrize("name", NAMED)
def test_names_say_what_the_columns_are(tmp_path, name):
    for options in ({}, {"strict": False}):
        assert events_of(tmp_path, NAMED[name], **options) == WANT


def test_order_and_seconds_are_told(tmp_path):
    assert events_of(tmp_path, b"1 2 1 10\n3 4 0 20\n", order="xypt") == WANT
    assert events_of(tmp_path, b"spalte;zeile;pol;zeit\n1;2;1;10\n3;4;0;20\n", order="xypt") == WANT
    assert events_of(tmp_path, b"0.003811 96 133 0\n1700000000.000001 1 2 1\n", seconds=True) == \
        [(3811, 96, 133, 0), (1700000000000001, 1, 2, 1)]
    geometry = b"%geometry:1280,720\n10,1,2,1\n"
    (tmp_path / "g.csv").write_bytes(geometry)
    assert formats.read(tmp_path / "g.csv", "csv").shape == (2, 720, 1280)


@pytest.mark.parametrize("content, words", [
    (b"a,b,c,d\n1,2,1,10\n", "line 1: names that are not understood: 'a,b,c,d'"),
    (b"t,x,y,q\n1,2,1,10\n", "names that are not understood"),
    (b"t,x,y,timestamp\n1,2,1,10\n", "names that are not understood"),
    (b"t_weeks,x,y,p\n1,2,1,1\n", "names that are not understood"),
    (b"# t x y p\nx,y,p,t\n1,2,1,10\n", "two lines of names"),
    (b"0.003811 96 133 0\n", "seconds=True reads them"),
    (b"# a comment\nt,x,y,p\n0,1,1,1\n0.5,1,1,1\n", "line 4: times are whole numbers of"),
    ("t,x,y,p\n".encode("utf-16"), "save it as UTF-8"),
    (b"#" * 70_000 + b"\n1,2,3,1\n", "no event in its first"),
])
def test_what_is_not_understood_is_refused_strict_or_not(tmp_path, content, words):
    for options in ({}, {"strict": False}):
        assert words in message(tmp_path, content, **options)


def test_contradictions_are_refused(tmp_path):
    assert "its names say the order 'xypt'" in message(tmp_path, NAMED["blanks"], order="txyp")
    assert events_of(tmp_path, NAMED["blanks"], order="xypt") == WANT
    assert "leave seconds= out" in message(tmp_path, NAMED["milliseconds"], seconds=True)
    with pytest.raises(ValueError, match="tick"):
        events_of(tmp_path, b"0.5 1 1 1\n", seconds=True, tick=1e-3)


def test_polarity_is_checked_in_every_table(tmp_path):
    assert "polarity that is not -1, 0 or 1" in message(tmp_path, b"1 2 1 10\n3 4 0 20\n")
    assert "order= names it" in message(tmp_path, b"1 2 1 10\n3 4 0 20\n")
    assert events_of(tmp_path, b"1 1 1 1\n2 1 1 10\n3 1 1 -1\n", strict=False) == [(1, 1, 1, 1), (3, 1, 1, 0)]
    np.savez(tmp_path / "a.npz", t=[1, 2], x=[1, 1], y=[1, 1], p=np.array([1, 255], np.uint8))
    with pytest.raises(FormatError, match="event 1: polarity"):
        formats.read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", t=np.array([1, 1 << 63], np.uint64), x=[1, 1], y=[1, 1], p=[1, 0])
    with pytest.raises(FormatError, match="time beyond"):
        formats.read(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", t=[1, 2], x=[1, 1], y=[1, 1], p=[True, False])
    assert formats.read(tmp_path / "c.npz").p.tolist() == [1, 0]


def test_a_text_without_any_event_is_refused(tmp_path, capsys):
    bad = b"1 2 3\n4 5 6\n"
    assert "none of its events can be read: 2 x not an event" in message(tmp_path, bad, strict=False)
    assert "can be read: 2 x polarity" in message(tmp_path, b"1 2 1 10\n3 4 0 20\n", strict=False)
    assert events_of(tmp_path, b"t,x,y,p\n") == []
    (tmp_path / "s.csv").write_bytes(b"0.003811 96 133 0\n0.003812 96 133 1\n")
    for options in (["info"], ["convert", "--skip-bad"], ["convert"]):
        out = [str(tmp_path / "out.h5")] * (options[0] == "convert")
        assert cli.main([options[0], str(tmp_path / "s.csv"), *out, *options[1:]]) == 2
        assert "--set seconds=true" in capsys.readouterr().err
        assert not (tmp_path / "out.h5").exists()
    told = ["--set", "seconds=true"]
    assert cli.main(["convert", str(tmp_path / "s.csv"), str(tmp_path / "out.h5"), *told]) == 0


def test_lines_at_once_and_one_by_one_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.stack([np.sort(rng.integers(-50, 10_000, 500)), *rng.integers(0, 99, (2, 500)),
                     rng.integers(-1, 2, 500)], 1)
    plain = "\n".join(" ".join(map(str, row)) for row in rows.tolist())
    want = formats.read(_text(tmp_path, plain), order="txyp")
    assert np.array_equal(want.t, rows[:, 0]) and np.array_equal(want.p, rows[:, 3] > 0)
    for other in (plain + "\n# the end", plain.replace("\n", "\r\n"), plain.replace(" ", " , "),
                  "\n" + plain + "\n\n", plain.replace(" ", ".0 ", 1)):
        assert formats.read(_text(tmp_path, other)) == want
    for bad in ("1-2 3 1\n", "1 2 3 -\n", "1 2 3 --1\n", "1 2 3 1_0\n", "1 2 3 9999999999999999999\n",
                "1 2 3\n4 5 6 1 7\n", "1 2 3 1 -4611686018427387905\n"):
        with pytest.raises(FormatError, match="not an event"):
            formats.read(_text(tmp_path, plain + "\n" + bad))


def _text(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    return path


def test_text_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("left/1.csv", NAMED["quotes"])
        archive.writestr("left/2.csv", b"")
    events = formats.read(tmp_path / "a.zip" / "left/1.csv")
    assert list(zip(*(c.tolist() for c in events.columns), strict=True)) == WANT
    with pytest.raises(FormatError, match="the file is empty"):
        formats.read(tmp_path / "a.zip" / "left/2.csv", "csv")

"""Headers of event files decide how their data are read: their end, versions, orders, cameras."""

import struct

import numpy as np
import pytest
from event_files import AEDAT3, FOUR, aedat2_bytes, aedat3_packet, evt21_bytes, put, recording, refused, rows

from numsnn import cli, formats
from numsnn.formats import aedat4, headers
from numsnn.formats.piecewise import Columns


def words(form, *values):
    return struct.pack(f"<{len(values)}{form}", *values)


# ---- EVT


def test_evt3_header_ends_with_its_end_and_filling_words_are_passed_over(tmp_path):
    begins_like_a_line = words("H", 0x0025, 0x8000, 0x6001, 0x000A, 0x0000, 0x2000)
    content = b"% evt 3.0\n% geometry 1280x720\n% end\n" + begins_like_a_line
    assert rows(formats.read(put(tmp_path, content))) == [(1, 0, 0, 0)]
    content = b"% evt 3.0\n" + words("H", 0x8000, 0x6001, 0x0000, 0x2000, 0x9999, 0x9999, 0x2001)
    assert rows(formats.read(put(tmp_path, content))) == [(1, 0, 0, 0), (1, 1, 0, 0)]
    refused(put(tmp_path, b"% evt 3.0\n" + words("H", 0x8000, 0x9998)), "unknown kind of record: type 9")


def test_evt_headers_without_an_end_are_text(tmp_path):
    """The first data byte is a % with a blank after it, and a line feed comes later."""
    data = words("H", 0x2025, 0x8000, 0x6001, 0x000A, 0x0000, 0x2000)
    stream = formats.stream(put(tmp_path, b"% evt 3.0\n% geometry 64x64\n" + data))
    assert rows(stream.read()) == [(1, 0, 0, 0)]
    assert stream.problems.counts == {"event before the first time": 1}


WORDS_21 = (8 << 60 | 1 << 32, 1 << 60 | 3 << 54 | 32 << 43 | 10 << 32 | 0b101)


@pytest.mark.parametrize("head", ["% evt 2.1\n% end\n", "% evt 2.1\n", "% format EVT21;width=64;height=64\n"])
def test_evt21_in_both_orders(tmp_path, head):
    want = [(67, 32, 10, 1), (67, 34, 10, 1)]
    for upper_first, told in ((False, "little"), (True, "legacy")):
        data = evt21_bytes(WORDS_21, upper_first)
        path = put(tmp_path, head.encode() + data)
        assert formats.guess(path) == "evt21"
        assert rows(formats.read(path)) == want
        assert rows(formats.read(path, upper_first=upper_first)) == want
        told = f"% format EVT21;height=720;width=1280;endianness={told}\n% end\n".encode()
        events = formats.read(put(tmp_path, told + data))
        assert rows(events) == want and events.shape == (2, 720, 1280)


def test_evt21_events(tmp_path):
    """All 32 pixels of a word, at the edge of the sensor, over the end of the clock, before a first time."""
    def high(t):
        return 8 << 60 | (t >> 6) << 32

    def event(t, x, y, p, mask):
        return p << 60 | (t & 63) << 54 | x << 43 | y << 32 | mask
    last = (1 << 34) - 1
    after = [high(last), event(last, 32, 9, 0, 0xFFFFFFFF), 10 << 60, high(0), event(5, 64, 9, 1, 0b11)]
    content = evt21_bytes([event(0, 0, 0, 0, 7), *after])
    head = b"% evt 2.1\n% geometry 66x10\n% end\n"
    stream = formats.stream(put(tmp_path, head + content))
    want = [(last, x, 9, 0) for x in range(32, 64)] + [(1 << 34 | 5, x, 9, 1) for x in (64, 65)]
    assert rows(stream.read()) == want
    assert stream.problems.counts == {"event before the first time": 3}
    outside = evt21_bytes([high(64), event(64, 64, 9, 1, 0b111), 9 << 60, event(65, 0, 1, 1, 1)])
    refused(put(tmp_path, head + outside), "outside the sensor: x = 66, y = 9")
    stream = formats.stream(put(tmp_path, head + outside), strict=False)
    assert rows(stream.read()) == [(64, 64, 9, 1), (64, 65, 9, 1), (65, 0, 1, 1)]
    assert stream.problems.counts == {"coordinate outside the sensor": 1, "unknown kind of record": 1}


@pytest.mark.parametrize("head, words", [
    ("% evt 4.0\n% end\n", "4.0, which is not read"),
    ("% format HISTO3D;height=320;width=320\n% end\n", "HISTO3D, which is not read"),
    ("% evt 3.0\n% format EVT21\n% end\n", "EVT 3.0 in one line and EVT21 in another"),
    ("% evt 3.0\n% format EVT3;endianness=big\n% end\n", "in the order 'big' are not read"),
    ("% evt 3.0\n% geometry 1280,720\n% end\n", "WIDTHxHEIGHT in the header; got '1280,720'"),
    ("% evt 3.0\n% geometry 128000x720\n% end\n", "got '128000x720'"),
    ("% Data file containing CD events\n% Version 1\n", "DAT files of version 1 are not read"),
])
def test_headers_that_say_what_is_not_read(tmp_path, head, words):
    refused(put(tmp_path, head.encode() + bytes((12, 8))), words)


def test_events_without_a_time_are_said(tmp_path):
    for name, data in (("evt2", words("I", 1 << 28 | 5, 5)), ("evt21", words("Q", 1 << 60 | 3)),
                       ("evt3", words("H", 0x2001, 0x2002))):
        path = put(tmp_path, f"% evt {name[3]}.{name[4:] or 0}\n% end\n".encode() + data)
        refused(path, "event before the first time: all 2 events of the file")
        stream = formats.stream(path, strict=False)
        assert stream.read().n_events == 0
        assert stream.problems.counts == {"event before the first time": 2}


# ---- AEDAT


def test_aedat4_with_two_streams_of_events(tmp_path):
    """They are two recordings: which of them is read is to be said."""
    one = aedat4.header_bytes(8, 8)
    node = one[one.index(b'<node name="0"'):one.index(b"</node></dv>")]
    second = node.replace(b'name="0"', b'name="1"').replace(b'"int">8<', b'"int">9<')
    body = bytearray(one[18:].replace(node, node + second))
    length = body.index(b"<dv") - 4
    before = int.from_bytes(body[length:length + 4], "little")
    body[length:length + 4] = struct.pack("<I", before + len(second))
    head = aedat4.MAGIC + struct.pack("<I", len(body)) + body
    packets = [packet(events, number) for number, events in enumerate((FOUR, [(3, 1, 8, 0)]))]
    path = put(tmp_path, head + packets[0] + packets[1])
    refused(path, "expected one stream of events; there are 0, 1; say stream=")
    refused(path, "there are 0, 1", stream=2)
    assert rows(formats.read(path, stream=0, sensor=(128, 128))) == FOUR
    events = formats.read(path, stream=1)
    assert rows(events) == [(3, 1, 8, 0)] and events.shape == (2, 9, 9)


def packet(events, number):
    """A packet of AEDAT 4 of the stream with this number."""
    t, x, y, p = (np.array(column) for column in zip(*events, strict=True))
    return struct.pack("<i", number) + aedat4.packet_bytes(Columns(t, x, y, p))[4:]


def davis_bytes(events):
    return b"".join(struct.pack(">II", y << 22 | x << 12 | p << 11, t) for t, x, y, p in events)


ON_A_DAVIS = [(1, 2, 3, 1), (5, 239, 140, 0), (9, 100, 141, 1)]
SETTINGS = b"".join(b'#  <entry key="bias%d" value="5"/>\r\n' % i for i in range(4000))


def jaer_header(chip, end):
    first = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    named = f"# AEChip: {chip}\r\n".encode()
    xml = b'#<?xml version="1.0" encoding="UTF-8"?>\r\n#<preferences>\r\n' + SETTINGS + b"#</preferences>\r\n"
    return first + named + xml + end


@pytest.mark.parametrize("end", [b"", b"#End Of ASCII Header\r\n"])
def test_long_headers_of_jaer(tmp_path, end):
    """More than 100,000 bytes of settings; on a DAVIS rows 140 to 143 begin with the byte of #."""
    assert len(SETTINGS) > headers.AT_ONCE
    davis = jaer_header("eu.seebetter.ini.chips.davis.DAVIS240C", end)
    for first in range(3):
        events = formats.read(put(tmp_path, davis + davis_bytes(ON_A_DAVIS[first:])))
        assert rows(events) == ON_A_DAVIS[first:]
        assert events.shape == (2, 180, 240)
    dvs = jaer_header("ch.unizh.ini.jaer.chip.retina.DVS128", end) + aedat2_bytes(FOUR, b"")
    assert rows(formats.read(put(tmp_path, dvs))) == FOUR


def test_the_header_names_the_camera(tmp_path):
    davis = put(tmp_path, jaer_header("DAVIS240C", b"") + davis_bytes(ON_A_DAVIS))
    assert rows(formats.read(davis, camera="davis240")) == ON_A_DAVIS
    refused(davis, "names the camera DAVIS240C, camera='dvs128' was given", camera="dvs128")
    for chip, size in (("Davis346blue", (260, 346)), ("DAVI346", (260, 346)), ("DAVIS640", (480, 640))):
        path = put(tmp_path, jaer_header(chip, b"") + davis_bytes(ON_A_DAVIS))
        assert formats.read(path).shape[1:] == size
    unknown = put(tmp_path, jaer_header("DVXplorer", b"") + davis_bytes(ON_A_DAVIS))
    refused(unknown, "names the camera DVXplorer, whose addresses are not known")
    assert rows(formats.read(unknown, camera="davis640")) == ON_A_DAVIS
    formats.write(tmp_path / "own.aedat", recording(50, width=240, height=180), "aedat2")
    assert formats.read(tmp_path / "own.aedat") == recording(50, width=240, height=180)
    refused(tmp_path / "own.aedat", "names the camera davis240, camera='dvs128'", camera="dvs128")


def test_addresses_that_are_those_of_another_camera(tmp_path):
    bare = b"#!AER-DAT2.0\r\n"
    refused(put(tmp_path, bare + davis_bytes(ON_A_DAVIS)), "bits that only those of a DAVIS have")
    refused(put(tmp_path, aedat2_bytes(FOUR, bare)), "not those of davis240", camera="davis240")


def test_aedat1_has_addresses_of_two_bytes(tmp_path):
    data = b"".join(struct.pack(">HI", p | x << 1 | y << 8, t) for t, x, y, p in FOUR)
    assert rows(formats.read(put(tmp_path, b"#!AER-DAT1.0\r\n# a comment\r\n" + data))) == FOUR


@pytest.mark.parametrize("form", [">II", ">HI"])
def test_cochleas(tmp_path, form, capsys):
    spikes = [(10 + i, unit) for i, unit in enumerate((3, 77, 200, 255, 0))]
    data = b"".join(struct.pack(form, unit, t) for t, unit in spikes)
    end = b"#End Of ASCII Header\r\n"
    for head in (b"#!AER-DAT2.0\r\n" + end, b"#!AER-DAT2.0\r\n# AEChip: CochleaAMS1c\r\n" + end):
        path = put(tmp_path, head + data, "a.aedat")
        assert formats.guess(path) == "nas"
        events = formats.read(path)
        assert (events.shape, rows(events)) == ((256,), spikes)
    size = struct.calcsize(form) - 4
    assert rows(formats.read(path, "nas", address_bytes=size, units=700)) == spikes
    assert formats.read(path, tick=2e-7).tick == 2e-7
    refused(path, "the header names a cochlea, CochleaAMS1c", "aedat2")
    refused(put(tmp_path, head + data + struct.pack(form, 300, 99)), "x = 300, .*256 x 1 pixels .*units")
    assert cli.main(["info", str(path)]) == 0
    assert "256 units" in capsys.readouterr().out
    assert cli.main(["convert", str(path), str(tmp_path / "out.h5")]) == 0
    from numsnn.datasets.converted import listing
    assert rows(listing(tmp_path / "out.h5").items[0].read()) == spikes


def test_events_that_are_all_invalid_are_said(tmp_path):
    path = put(tmp_path, AEDAT3 + aedat3_packet(FOUR, valid=[0] * 4))
    refused(path, "without the valid bit .invalid=True takes them.: all 4 events")
    assert rows(formats.read(path, invalid=True)) == FOUR
    stream = formats.stream(path, strict=False)
    assert stream.read().n_events == 0 and sum(stream.problems.counts.values()) == 4
    stream = formats.stream(put(tmp_path, AEDAT3 + aedat3_packet(FOUR, valid=[1, 0, 1, 1])))
    assert stream.read().n_events == 3 and sum(stream.problems.counts.values()) == 1
    davis = AEDAT3.replace(b"DVS128", b"DAVIS240C")
    assert formats.read(put(tmp_path, davis + aedat3_packet(FOUR))).shape == (2, 180, 240)

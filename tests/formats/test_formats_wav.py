"""WAV: real recordings and scipy as oracle, files made by hand, round trips, damaged and deceitful ones."""

import io
import struct
import wave
from functools import partial

import numpy as np
import pytest
from mutations import modest, mutations, survives

from numsnn.formats import FormatError, wav


def riff(*chunks, size=None):
    """A WAV file of (id, content) chunks."""
    body = b""
    for kind, content in chunks:
        body += struct.pack("<4sI", kind, len(content)) + content + b"\0" * (len(content) % 2)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body) if size is None else size, b"WAVE") + body


def layout(tag=1, channels=1, rate=8000, bits=16, frame=None, more=b""):
    width = (bits + 7) // 8
    frame = channels * width if frame is None else frame
    return b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame % 2 ** 32, frame, bits) + more


def extensible(tag=1, bits=16, **options):
    code = bytes.fromhex("000000001000800000aa00389b71")
    return layout(0xFFFE, bits=bits, more=struct.pack("<HHIH", 22, bits, 4, tag) + code, **options)


@pytest.fixture(scope="module")
def recordings(data_folder):
    import zipfile
    path = data_folder / "fsdd" / "fsdd_recordings.zip"
    if not path.is_file():
        pytest.skip(f"no Free Spoken Digits at {path}")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()[::150]}


def test_real_recordings_as_scipy_reads_them(recordings, tmp_path):
    from scipy.io import wavfile
    assert len(recordings) == 20
    for name, content in recordings.items():
        rate, samples = wavfile.read(io.BytesIO(content))
        found = wav.read(content, rate=8000, name=name)
        assert (rate, found.rate, found.problems) == (8000, 8000, {})
        assert found.signal.dtype == np.float64
        assert (found.signal * 32768 == samples).all()
    (tmp_path / name).write_bytes(content)
    assert (wav.read(tmp_path / name).signal == found.signal).all()
    assert wav.encoded(found.signal, 8000) == content, "written again, a real file has the same bytes"


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_scipy_writes(dtype, channels, rng):
    from scipy.io import wavfile
    info = None if dtype[0] == "f" else np.iinfo(dtype)
    samples = (rng.uniform(-1, 1, (50, channels)).astype(dtype) if info is None else
               rng.integers(info.min, info.max, (50, channels), dtype, True))
    wavfile.write(file := io.BytesIO(), 44100, samples)
    scale, zero = {"u1": (128, 128), "i2": (2 ** 15, 0), "i4": (2 ** 31, 0)}.get(dtype, (1, 0))
    want = (samples.astype(np.float64) - zero) / scale
    for c in range(channels):
        found = wav.read(file.getvalue(), channel=c)
        assert (found.signal == want[:, c]).all()
        assert found.rate == 44100
    assert np.allclose(wav.read(file.getvalue(), channel="mean").signal, want.mean(1), rtol=0, atol=1e-15)


def test_24_bits_by_the_standard_library():
    values = [0, 1, -1, 2 ** 23 - 1, -2 ** 23, 12345]
    with wave.open(file := io.BytesIO(), "wb") as out:
        out.setparams((1, 3, 16000, 0, "NONE", ""))
        out.writeframes(b"".join(v.to_bytes(3, "little", signed=True) for v in values))
    assert (wav.read(file.getvalue()).signal * 2 ** 23).tolist() == values


def test_files_made_by_hand():
    data = (b"data", struct.pack("<3h", 1, -2, 3))
    plain = wav.read(riff(layout(), data))
    assert (plain.signal * 32768).tolist() == [1, -2, 3]
    more_chunks = riff((b"LIST", b"odd"), layout(more=b"\0\0"), (b"fact", bytes(4)), data, (b"id3 ", b"x"))
    without_size = riff(layout(), data, size=0)
    in_16_bits = riff(layout(bits=12), data)
    for other in (riff(extensible(), data), more_chunks, without_size, in_16_bits):
        assert (wav.read(other).signal == plain.signal).all()
    floats = riff(extensible(3, bits=32), (b"data", struct.pack("<2f", 0.5, -3)))
    assert wav.read(floats).signal.tolist() == [0.5, -3]
    assert wav.read(riff(layout(bits=8), (b"data", b"\0\x80\xff"))).signal.tolist() == [-1, 0, 127 / 128]
    assert wav.read(riff(layout(), (b"data", b""))).signal.shape == (0,)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_round_trips(bits):
    hypothesis = pytest.importorskip("hypothesis")
    from hypothesis import strategies as st
    half = 2 ** (bits - 1)

    @hypothesis.settings(max_examples=60, deadline=None)
    @hypothesis.given(st.lists(st.integers(-half, half - 1), max_size=40), st.integers(1, 1_000_000),
                      st.integers(1, 4))
    def same(values, rate, channels):
        whole_frames = values[:len(values) // channels * channels]
        values = np.array(whole_frames, np.float64).reshape(-1, channels) / half
        raw = wav.encoded(values, rate, bits)
        for c in range(channels):
            assert (wav.read(raw, channel=c).signal == values[:, c]).all()
        assert len(raw) % 2 == 0
        with wave.open(io.BytesIO(raw)) as file:
            assert file.getparams()[:4] == (channels, bits // 8, rate, len(values))

    same()


def test_rounding_and_the_ends(rng):
    x = rng.uniform(-1, 1, 500)
    for bits in (8, 16, 24, 32):
        assert np.abs(wav.read(wav.encoded(x, 8000, bits)).signal - x).max() <= 0.5000001 / 2 ** (bits - 1)
        ends = wav.read(wav.encoded(np.array([1.0, -1.0]), 8000, bits)).signal
        assert ends.tolist() == [1 - 2.0 ** (1 - bits), -1]


def test_resampling_on_request_only(rng):
    t = np.arange(16000) / 16000
    raw = wav.encoded(0.5 * np.sin(2 * np.pi * 440 * t), 16000)
    with pytest.raises(FormatError, match="16,000 samples per second, 8,000 are needed; resample=True"):
        wav.read(raw, rate=8000)
    found = wav.read(raw, rate=8000, resample=True)
    assert found.rate == 8000
    assert np.abs(found.signal - 0.5 * np.sin(2 * np.pi * 440 * t[::2]))[50:-50].max() < 1e-3
    assert wav.read(raw, rate=16000, resample=True).signal.tobytes() == wav.read(raw).signal.tobytes()
    assert len(wav.resampled(np.zeros(1001), 44100, 8000)) == -(-1001 * 80 // 441)
    for old, new, message in ((100, 48000, "more than 64 times"), (44101, 96000, "ratio of small numbers"),
                              (0, 8000, "the old rate"), (8000, 2 ** 31, "the new rate"),
                              (8000, 0.5, "the new rate")):
        with pytest.raises(ValueError, match=message):
            wav.resampled(np.zeros(10), old, new)


DATA = (b"data", bytes(6))
REFUSED = ((b"hello, this is text", "byte 0: expected a WAV file"),
           (b"RIFF", "byte 0: expected a WAV file"),
           (b"fLaC" + bytes(30), "another sound format.*sox"),
           (b"RIFX" + riff(layout(), DATA)[4:], "another sound format"),
           (riff(), 'byte 12: there is no "fmt " chunk'),
           (riff(layout()), 'byte 36: there is no "data"'),
           (riff(DATA, layout()), 'byte 12: the "data" chunk comes before'),
           (riff((b"fmt ", bytes(8)), DATA), "at least 16 bytes; got 8"),
           (riff(layout(7), DATA), "byte 20: the samples are coded as mu-law.*sox"),
           (riff(layout(99), DATA), "coded as format 99"),
           (riff(layout(0xFFFE), DATA), "neither PCM nor float"),
           (riff(layout(channels=0), DATA), "0 channels"),
           (riff(layout(rate=0), DATA), "0 samples per second"),
           (riff(layout(rate=2 ** 31), DATA), "cannot be"),
           (riff(layout(bits=40), DATA), "40 bits per sample"),
           (riff(layout(3, bits=16), DATA), "16 bits per sample .float"),
           (riff(layout(bits=0), DATA), "0 bits"),
           (riff(layout(frame=3), DATA), "need 2 bytes a frame; the file says 3"),
           (riff(layout(channels=2), (b"data", bytes(8))), "2 channels, one is needed.*channel=0"),
           (riff(layout(channels=2), DATA), "byte 48: half a frame.*strict=False"),
           (riff(layout(), DATA)[:-2], "byte 40: the data are cut short: 6 bytes announced, 4 are there"),
           (riff(layout(3, bits=32), (b"data", struct.pack("<2f", 1, np.nan))), "byte 48: a sample is nan"))


def test_what_is_refused_says_where_and_what_to_do(tmp_path):
    for content, message in REFUSED:
        for source, name in ((content, "WAV data"), (tmp_path / "x.wav", "x.wav")):
            (tmp_path / "x.wav").write_bytes(content)
            with pytest.raises(FormatError, match=f"{name}.*{message}"):
                wav.read(source)
    with pytest.raises(FileNotFoundError, match="no file"):
        wav.read(tmp_path / "none.wav")
    for source in (b"", tmp_path / "empty.wav"):
        (tmp_path / "empty.wav").write_bytes(b"")
        with pytest.raises(FormatError, match="no bytes|the file is empty"):
            wav.read(source)
    for channel in (1, -1, True, "left"):
        with pytest.raises(ValueError, match="channel must be 0 ... 0"):
            wav.read(riff(layout(), DATA), channel=channel)


def test_what_is_there_on_request():
    raw = riff(layout(channels=2), (b"data", struct.pack("<5h", 1, 2, 3, 4, 5)))
    found = wav.read(raw, channel=1, strict=False)
    assert (found.signal * 32768).tolist() == [2, 4]
    assert found.problems == {"half a frame at the end of the data": 1}
    found = wav.read(riff(layout(), (b"data", struct.pack("<3h", 1, 2, 3)))[:-2], strict=False)
    assert (found.signal * 32768).tolist() == [1, 2]
    assert found.problems == {"the data are cut short": 1}
    # as a stream of unknown length is written
    endless = riff(layout()) + b"data\xff\xff\xff\xff" + struct.pack("<2h", 7, 8)
    assert (wav.read(endless, strict=False).signal * 32768).tolist() == [7, 8]
    with pytest.raises(FormatError, match="4,294,967,295 bytes announced, 4 are there"):
        wav.read(endless)


def test_what_is_not_written(tmp_path):
    for signal, options, message in ((np.array([0, 1.1]), {}, "within"),
                                     (np.array([np.nan]), {}, "within"),
                                     (np.zeros(3, int), {}, "float signal"),
                                     (np.zeros((2, 2, 2)), {}, "float signal"),
                                     (np.zeros((2, 0)), {}, "float signal"),
                                     (np.zeros(3), {"bits": 12}, "8, 16, 24 or 32"),
                                     (np.zeros(3), {"rate": 0}, "rate must be"),
                                     (np.zeros(3), {"rate": 1.5}, "rate must be")):
        with pytest.raises(ValueError, match=message):
            wav.write(tmp_path / "x.wav", signal, **{"rate": 8000, **options})
    assert not list(tmp_path.iterdir())
    wav.write(tmp_path / "x.wav", np.zeros(3), 8000)
    assert [p.name for p in tmp_path.iterdir()] == ["x.wav"]


def test_damaged_files(recordings, rng):
    """A few hundred: refused, or read within a memory that the size of the file bounds."""
    stereo = wav.encoded(rng.uniform(-1, 1, (300, 2)), 44100, 24)
    samples = rng.uniform(-1, 1, 60).tobytes()
    made = riff((b"LIST", b"some text"), extensible(3, bits=64, channels=1), (b"data", samples))
    taken = n = 0
    for content in (min(recordings.values(), key=len), stereo, made):
        # most damage to the samples is no damage to the form: look at the head more closely
        of_the_head = (head + content[60:] for head in mutations(content[:60], 140))
        for damaged in (*mutations(content, 60), *of_the_head):
            for strict in (True, False):
                n += 1
                taken += survives(partial(wav.read, damaged, channel="mean", strict=strict),
                                  40 * len(damaged) + 100_000)
    assert n == 1200
    assert 200 < taken < 1100


def test_sizes_that_lie(tmp_path):
    """Headers of a few bytes that announce gigabytes."""
    for size in (2 ** 31, 2 ** 32 - 1):
        data_head = struct.pack("<4sI", b"data", size)
        for raw in (riff(layout()) + data_head,
                    riff((b"fmt ", bytes(16)))[:16] + struct.pack("<I", size),
                    riff(layout(channels=32767)) + data_head + bytes(10)):
            with modest(200_000), pytest.raises(FormatError):
                wav.read(raw)

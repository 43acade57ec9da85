"""Events in HDF5: the layouts of the field, and filters that are not installed."""

import h5py
import numpy as np
import pytest
from event_files import FOUR, recording, refused, rows

from numsnn import cli, formats


def hdf5(tmp_path, **contents):
    path = tmp_path / "e.h5"
    with h5py.File(path, "w") as f:
        for name, content in contents.items():
            f[name.replace("__", "/")] = content
    return path


def test_hdf5_of_the_field(tmp_path):
    t, x, y, p = (np.array(c) for c in zip(*FOUR, strict=True))
    dsec = hdf5(tmp_path, events__t=t, events__x=x, events__y=y, events__p=p, t_offset=10**12)
    assert rows(formats.read(dsec)) == [(10**12 + e[0], *e[1:]) for e in FOUR]
    v2e = hdf5(tmp_path, events=np.array(FOUR, np.uint32))
    assert rows(formats.read(v2e)) == FOUR
    for place in ("events__", ""):
        columns = {"ts": t * 1e-6, "xs": x, "ys": y, "ps": p > 0}
        path = hdf5(tmp_path, **{place + name: column for name, column in columns.items()})
        assert rows(formats.read(path)) == FOUR
    whole = hdf5(tmp_path, ts=np.arange(4.0), xs=x, ys=y, ps=p)
    refused(whole, "may be seconds or us; say seconds=True or seconds=False")
    assert formats.read(whole, seconds=True).t.tolist() == [0, 10**6, 2 * 10**6, 3 * 10**6]
    assert formats.read(whole, seconds=False).t.tolist() == [0, 1, 2, 3]
    refused(hdf5(tmp_path, ts=[0.5, np.nan], xs=[1, 2], ys=[1, 2], ps=[1, 0]), "times up to nan")
    refused(hdf5(tmp_path, events=np.zeros((3, 5), int)), "four columns, t, x, y, p")
    refused(hdf5(tmp_path, other=[1]), "no events: expected .*CD/events.*this file has other")


def test_hdf5_of_prophesee(tmp_path, capsys):
    kind = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    content = np.array([(x, y, p, t) for t, x, y, p in FOUR], kind)
    path = hdf5(tmp_path, CD__events=content)
    with h5py.File(path, "r+") as f:
        f.attrs["geometry"] = np.bytes_("1280x720")
    events = formats.read(path)
    assert rows(events) == FOUR and events.shape == (2, 720, 1280)
    assert cli.main(["info", str(path)]) == 0 and "4 events" in capsys.readouterr().out


@pytest.mark.parametrize("code, name", [(32001, "Blosc"), (32015, "zstd"), (36559, "ECF"), (40000, "")])
def test_filters_that_are_not_installed_are_named(tmp_path, code, name):
    path = tmp_path / "e.h5"
    with h5py.File(path, "w") as f:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((4, 4))
        created.set_filter(code, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((4, 4))
        made = h5py.h5d.create(f.id, b"events", h5py.h5t.NATIVE_UINT32, space, created)
        made.write_direct_chunk((0, 0), bytes(20))
    refused(path, f"the filter .*{name}.*, number {code}, which is not installed.*hdf5plugin")


def test_a_set_of_recordings_is_not_one_recording(tmp_path):
    from numsnn.datasets import converted
    from numsnn.datasets.listing import Item, Listing
    events = recording(20)
    items = [Item(str(i), 0, "", lambda: events) for i in range(3)]
    converted.write(tmp_path / "c.h5", Listing("x", "", events.shape, 1e-6, ("a",), items))
    refused(tmp_path / "c.h5", "a set of 3 recordings, expected one; numsnn.datasets.converted.listing")

"""Sequences that are saved are read back as they were."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from noiseforge.data.samples import Samples, as_samples, read_samples
from noiseforge.data.saving import check_target, save_samples
from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import UserError

TABLE = """time,id,x,kind,count,owner,label
2026-01-01,7,1.5,red,1,3,yes
2026-01-02,7,,blue,2,3,yes
2026-01-03,7,2.5,red,,3,yes
2026-01-01,5,0.5,,4,4,no
2026-01-02,5,1.125,red,5,4,no
"""

UNEVEN = re.sub("(2026-01-0.)", r"\1 00:00:00", TABLE).replace("02 00:00:00,7", "02 12:30:00,7")


def source(folder: Path, text: str = TABLE) -> Data:
    (folder / "source.csv").write_text(text)
    return load_data(folder / "source.csv", split="all")


def same(a: Tensor | None, b: Tensor | None) -> None:
    assert a is not None and b is not None
    torch.testing.assert_close(a, b, equal_nan=True, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", [TABLE, UNEVEN])
@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_samples_go_round_trip(tmp_path: Path, ending: str, text: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    data = source(tmp_path, text)
    batch = data.train.batch(torch.tensor([1, 0, 1]))
    path = tmp_path / f"samples.{ending}"
    save_samples(path, batch.x, data.spec, batch.y, length=batch.length)
    read = read_samples(path, data.spec)
    for ours, theirs in zip((batch.x, batch.y, batch.length), (read.x, read.y, read.length), strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("text", [TABLE, UNEVEN])
def test_a_saved_table_looks_like_the_source(tmp_path: Path, text: str) -> None:
    data = source(tmp_path, text)
    batch = data.train.batch(torch.tensor([0, 1]))
    save_samples(tmp_path / "a.csv", batch.x, data.spec, batch.y, length=batch.length)
    expected = text.replace(",7,", ",0,").replace("1,5,", "1,1,").replace("0,5,", "0,1,").replace("2,5,", "2,1,")
    assert (tmp_path / "a.csv").read_text().split("\n") == expected.split("\n")


def test_a_wide_source_is_saved_wide(tmp_path: Path) -> None:
    text = "s0,s1,s2\n1.5,2,3\n4,,6\n7,8,\n"
    (tmp_path / "source.csv").write_text(text)
    data = load_data(tmp_path / "source.csv", layout="wide", split="all")
    batch = data.train.batch(torch.arange(3))
    save_samples(tmp_path / "a.csv", batch.x, data.spec, length=batch.length)
    assert (tmp_path / "a.csv").read_text().split() == text.split()
    same(read_samples(tmp_path / "a.csv", data.spec).x, batch.x)


def test_arrays_are_in_source_units(tmp_path: Path) -> None:
    data = source(tmp_path)
    batch = data.train.batch(torch.arange(2))
    save_samples(tmp_path / "a.npy", batch.x, data.spec, length=batch.length)
    saved = np.load(tmp_path / "a.npy")
    expected = [[[1.5, 1, 1, 3], [np.nan, 0, 2, 3], [2.5, 1, np.nan, 3]], [[0.5, np.nan, 4, 4], [1.125, 1, 5, 4]]]
    np.testing.assert_allclose(saved[0], expected[0])
    np.testing.assert_allclose(saved[1, :2], expected[1])
    assert np.isnan(saved[1, 2]).all()
    given = as_samples(saved, data.spec)
    same(given.x, batch.x)
    same(given.length, batch.length)
    longer = as_samples(np.concatenate([saved, saved], 1), data.spec)
    assert longer.x.shape == batch.x.shape  # cut to the longest of the real data


def test_what_cannot_be_saved_or_read_is_told(tmp_path: Path) -> None:
    data = source(tmp_path)
    for name, message in (("a.wav", "sequences cannot be saved as '.wav'"), ("folder/", "sequences are saved as .csv")):
        with pytest.raises(UserError, match=message):
            check_target(str(tmp_path / name) if "." in name else f"{tmp_path}/{name}", data.spec)
    for text, message in (
        ("id,x\n0,1\n0,2\n", "has no column 'kind'"),
        (TABLE.replace("blue", "green"), "'green' is no category of column 'kind': blue, red"),
        (TABLE.replace(",1.5,", ",a,").replace(",2.5,", ",b,").replace(",1.125,", ",c,"), "column 'x' holds text"),
    ):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(UserError, match=message):
            read_samples(tmp_path / "a.csv", data.spec)
    for array, message in (
        (np.zeros((2, 3, 5)), "has 5 columns, and .* has 4: x, kind, count, owner"),
        (np.full((2, 3, 4), 7.0), "column 'kind' has 2 categories"),
        (np.zeros((2, 3)), "layout=ntc"),
    ):
        with pytest.raises(UserError, match=message):
            as_samples(array, data.spec)
    np.savez(tmp_path / "a.npz", samples=np.zeros((2, 3, 4)), labels=np.array([0, 2]))
    with pytest.raises(UserError, match="labels must be 2 whole numbers from 0 to 1"):
        read_samples(tmp_path / "a.npz", data.spec)
    with pytest.raises(UserError, match="holds no samples of"):
        read_samples(tmp_path / "none.csv", data.spec)


def test_strange_labels_are_left_out(tmp_path: Path) -> None:
    data = source(tmp_path)
    (tmp_path / "a.csv").write_text(TABLE.replace("yes", "maybe"))
    read = read_samples(tmp_path / "a.csv", data.spec)
    assert isinstance(read, Samples) and read.y is None and read.x.shape == (2, 3, 5)


def test_series_that_came_from_no_table_have_a_plain_one(tmp_path: Path) -> None:
    data = load_data("digit-rows")
    batch = data.train.batch(torch.arange(3))
    save_samples(tmp_path / "a.csv", batch.x, data.spec, batch.y)
    header, *lines = (tmp_path / "a.csv").read_text().splitlines()
    assert header == "id,x0,x1,x2,x3,x4,x5,x6,x7,label" and lines[8].startswith("1,") and len(lines) == 24
    read = read_samples(tmp_path / "a.csv", data.spec)
    same(read.x, batch.x)
    same(read.y, batch.y)
    assert read.length is None

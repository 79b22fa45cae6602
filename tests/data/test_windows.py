"""Windows, and splits that leak nothing: no step is on both sides."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from noiseforge.data.series import Series
from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import UserError


def table(folder: Path, lengths: list[int], *, labels: bool = False) -> Path:
    """Series whose value is the number of the row."""
    rows = [f"{index},{index % 2}" for index, length in enumerate(lengths) for _ in range(length)]
    named = len(lengths) > 1
    header = "value" + ",id" * named + ",label" * (named and labels)
    lines = [str(row) + f",{rows[row] if labels else rows[row].split(',')[0]}" * named for row in range(len(rows))]
    path = folder / "table.csv"
    path.write_text("\n".join([header, *lines]))
    return path


def held_by(part: object) -> list[set[int]]:
    """The rows that each window holds."""
    assert isinstance(part, Series)
    ends = (part.starts + part.lengths).tolist()
    return [set(range(start, end)) for start, end in zip(part.starts.tolist(), ends, strict=True)]


def sides(data: Data) -> tuple[set[int], set[int]]:
    return set().union(*held_by(data.train)), set().union(*held_by(data.test))


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("split", ["time", "blocks:1", "blocks:4", None])
def test_no_step_is_on_both_sides_of_a_split_of_one_series(tmp_path: Path, split: str | None, stride: int) -> None:
    data = load_data(table(tmp_path, [400]), window=10, stride=stride, split=split, test_fraction=0.2)
    train, test = sides(data)
    assert not train & test and len(test) <= 80
    every = {tuple(range(start, start + 10)) for start in range(0, 391, stride)}
    kept = {tuple(sorted(rows)) for part in (data.train, data.test) for rows in held_by(part)}
    blocks = [range(320, 400)] if split in (None, "time") else [range(160, 240)] if split == "blocks:1" else []
    if blocks:
        assert test == set().union(*(rows for rows in every if set(rows) <= set(blocks[0])))
        assert kept == {rows for rows in every if not 0 < len(set(rows) & set(blocks[0])) < 10}
    assert any("windows with steps on both sides" in line for line in data.problems)
    again = load_data(table(tmp_path, [400]), window=10, stride=stride, split=split, test_fraction=0.2)
    assert again.spec == data.spec


def test_blocks_are_spread_evenly(tmp_path: Path) -> None:
    data = load_data(table(tmp_path, [1000]), window=10, split="blocks:5", test_fraction=0.2)
    _, test = sides(data)
    starts = sorted(row for row in test if row - 1 not in test)
    assert starts == [80, 280, 480, 680, 880] and len(test) == 200


@pytest.mark.parametrize("split", ["series", "stratified", "time", "blocks:2", None])
def test_windows_of_several_series_do_not_leak(tmp_path: Path, split: str | None) -> None:
    lengths = [60, 50, 40, 70, 55, 45, 9, 65]
    data = load_data(table(tmp_path, lengths, labels=True), window=10, split=split, test_fraction=0.4)
    train, test = sides(data)
    assert not train & test
    edges = np.cumsum([0, *lengths])
    for rows in (*held_by(data.train), *held_by(data.test)):
        assert np.searchsorted(edges, min(rows), "right") == np.searchsorted(edges, max(rows), "right")
    whole = [{bool(set(range(low, high)) & side) for side in (train, test)} for low, high in pairwise(edges)]
    if split in ("series", "stratified", None):
        assert sum(one == {True} for one in whole) == 0
    assert "series shorter than window=10, left out: 1" in data.problems
    assert data.train.labels is not None and set(data.train.labels.tolist()) == {0, 1}


def test_stratified_holds_some_of_every_label_out(tmp_path: Path) -> None:
    data = load_data(table(tmp_path, [5] * 20, labels=True), test_fraction=0.2)
    assert data.test.labels is not None and torch.bincount(data.test.labels).tolist() == [2, 2]
    (tmp_path / "b.csv").write_text("id,x,label\n" + "".join(f"{n},{n},{n > 3}\n{n},0,{n > 3}\n" for n in range(5)))
    assert any("classes of one example" in line for line in load_data(tmp_path / "b.csv").problems)


def test_all_is_the_protocol_of_published_scores(shared_data: Path) -> None:
    data = load_data(shared_data / "stock" / "stock_data.csv", window=24, split="all")
    assert len(data.train) == len(data.test) == 3662 and data.spec.shape == (24, 6)
    steps = data.train.batch(torch.arange(3662)).x.flatten(0, 1)
    assert steps.amin(0).tolist() == [0] * 6 and steps.amax(0).tolist() == [1] * 6  # scaled by the whole series
    assert any("nothing is held out" in line for line in data.problems)


def test_a_series_without_a_window_is_one_sequence(tmp_path: Path) -> None:
    data = load_data(table(tmp_path, [100]))
    assert len(data.train) == len(data.test) == 1 and data.spec.shape == (100, 1)
    assert data.problems[0].startswith("one series of 100 steps")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 101}, "window=101 is longer than .*table.csv: the series has 100 steps"),
        ({"stride": 2}, "give window too"),
        ({"window": 40}, "split=time leaves .* no test example of 40 steps"),
        ({"window": 8, "split": "blocks:5"}, "split=blocks:5 leaves .* no test example"),
        ({"window": 8, "split": "series"}, "holds whole series out"),
        ({"split": "time"}, "split=time is for windows"),
        ({"window": 8, "split": "block:3"}, "unknown split 'block:3', did you mean 'blocks:10'"),
        ({"window": 8, "split": "speaker:a"}, "unknown split 'speaker:a'"),
        ({"window": 8, "labels_per_class": 2}, "needs labels"),
        ({"sample_rate": 8000}, "sample_rate belongs to sound"),
        ({"size": 28}, "size belongs to pictures"),
    ],
)
def test_windows_and_splits_that_do_not_fit(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_data(table(tmp_path, [100]), **settings)  # type: ignore[arg-type]

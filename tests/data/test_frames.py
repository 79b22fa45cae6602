"""Data frames go in and come out with the same columns, types and categories."""

import numpy as np
import pytest
import torch

from noiseforge.data.frames import to_frame
from noiseforge.data.samples import Samples
from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import UserError

pandas = pytest.importorskip("pandas")


def frame(*, zone: str | None = None, even: bool = True) -> "pandas.DataFrame":
    """Three series of 4, 3 and 5 steps with every type of column."""
    lengths = [4, 3, 5]
    days = np.concatenate([np.arange(length) if even else np.arange(length) ** 2 for length in lengths])
    ids = np.repeat([0, 1, 2], lengths)
    moods = pandas.CategoricalDtype(["low", "high", "never"], ordered=True)
    return pandas.DataFrame(
        {
            "real": np.where(days == 1, np.nan, days * 1.5 + ids),
            "id": ids,
            "small": (days * 3).astype("int16"),
            "date": pandas.Series(pandas.Timestamp("2026-03-01", tz=zone) + pandas.to_timedelta(days * 24, "h")),
            "mood": pandas.Series(np.where(days % 2, "low", "high")).astype(moods),
            "text": pandas.Series(np.where(days % 3, "a", "b")).where(days != 2),
            "grade": pandas.Series(days % 2 + 3).astype("category"),
            "flag": days % 2 == 0,
            "null": pandas.array(np.where(days == 1, None, days), dtype="Int64"),
            "single": (days / 4).astype("float32"),
            "owner": pandas.Series(np.repeat(["x", "y", "x"], lengths)),
            "label": np.repeat(["no", "yes", "no"], lengths),
        }
    )


def again(data: Data) -> "pandas.DataFrame":
    """The training part as a table."""
    batch = data.train.batch(torch.arange(len(data.train)))
    return to_frame(Samples(batch.x, batch.y, batch.length), data.spec)


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_long_frame_goes_round_trip(zone: str | None, even: bool) -> None:
    given = frame(zone=zone, even=even)
    data = load_data(given, split="all")
    assert {column.name for column in data.spec.columns if column.attribute} == {"owner"}
    assert data.spec.source == "a data frame" and data.spec.classes == ("no", "yes")
    assert ("lag" in [column.kind for column in data.spec.columns]) != even
    pandas.testing.assert_frame_equal(again(data), given, rtol=1e-6)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_keep_their_unit(unit: str) -> None:
    given = frame()
    given["date"] = given["date"].dt.as_unit(unit)
    pandas.testing.assert_frame_equal(again(load_data(given, split="all")), given, rtol=1e-6)


def test_a_spec_is_read_back_from_its_text() -> None:
    spec = load_data(frame(), split="all").spec
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec


def test_a_named_index_becomes_columns_and_windows_get_an_id() -> None:
    given = pandas.DataFrame({"a": np.arange(30.0)}, index=pandas.Index(np.arange(30) * 2, name="time"))
    data = load_data(given, window=3)
    back = again(data)
    assert list(back.columns) == ["id", "time", "a"] and back["time"][:4].tolist() == [0, 2, 4, 0]
    assert back["id"].max() == len(data.train) - 1


def test_a_wide_frame_comes_back_wide() -> None:
    given = pandas.DataFrame({"id": [0, 1], "s0": [1.5, 2.5], "s1": [0.5, 1.0], "s2": [3.0, np.nan]})
    pandas.testing.assert_frame_equal(again(load_data(given, layout="wide", split="all")), given)


def test_whole_numbers_stay_within_their_type() -> None:
    data = load_data(pandas.DataFrame({"a": np.arange(2000, dtype="uint16")}), window=3)
    x = torch.tensor([[-1.0, 0.5, 99.0]])[..., None]
    assert to_frame(Samples(x), data.spec)["a"].tolist() == [0, 900, 65535]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "holds no rows"),
        ({"a": [1.0, np.inf]}, "column 'a' holds an infinite value in row 1"),
        ({"a": ["x", 5, "y"]}, "column 'a' holds text or numbers mixed with int in row 1"),
        ({"a": [1, 2], "when": pandas.to_datetime(["2026-01-01", "2026-01-02"])}, "column 'when' holds dates"),
    ],
)
def test_what_is_wrong_is_said(columns: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_data(pandas.DataFrame(columns))


def test_pictures_are_no_table() -> None:
    with pytest.raises(UserError, match="a table is for sequences, and these are images"):
        to_frame(Samples(torch.zeros(1, 1, 8, 8)), load_data("digits").spec)

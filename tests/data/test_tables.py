"""Tables of series: whose row it is, when it was, which columns are features, and every way they can be bad."""

from pathlib import Path

import numpy as np
import pytest
import torch

from noiseforge.cli import main
from noiseforge.data.series import Series
from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import UserError


def read(folder: Path, text: str, name: str = "a.csv", **settings: object) -> Data:
    (folder / name).write_text(text)
    return load_data(folder / name, **settings)  # type: ignore[arg-type]


LONG = """id,time,x,kind,count,owner,label
b,2026-01-01,1.5,red,1,3,yes
b,2026-01-02,,blue,2,3,yes
b,2026-01-03,2.5,red,,3,yes
a,2026-01-01,0.5,,4,4,no
a,2026-01-02,1.0,red,5,4,no
"""


def test_a_long_table(tmp_path: Path) -> None:
    data = read(tmp_path, LONG, split="all")
    spec, table = data.spec, data.spec.table
    assert (spec.shape, spec.classes) == ((3, 5), ("no", "yes"))
    assert [(c.name, c.kind, c.attribute, c.missing, c.width) for c in spec.columns] == [
        ("x", "real", False, True, 1),
        ("kind", "category", False, True, 2),
        ("count", "integer", False, True, 1),
        ("owner", "integer", True, False, 1),
    ]
    assert table is not None and (table.id_column, table.time_column, table.label_column) == ("id", "time", "label")
    assert (table.time_step, table.time_dtype) == (86400.0, "datetime64[us]")
    batch = data.train.batch(torch.arange(2))
    assert batch.y is not None and batch.length is not None
    assert (batch.y.tolist(), batch.length.tolist()) == ([1, 0], [3, 2])
    np.testing.assert_allclose(batch.x[0, :, 0], [0.5, np.nan, 1.0])
    np.testing.assert_allclose(batch.x[1, :, 1:3], [[np.nan, np.nan], [0, 1], [0, 0]])


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(tmp_path: Path, delimiter: str) -> None:
    ours, theirs = read(tmp_path, LONG), read(tmp_path, "\ufeff" + LONG.replace(",", delimiter), name="b.csv")
    assert ours.spec.fingerprint == theirs.spec.fingerprint


def test_decimal_commas_where_nothing_else_is_a_comma(tmp_path: Path) -> None:
    column = read(tmp_path, "a;b\n" + "".join(f"{n};{n},5\n" for n in range(9)), split="all").spec.columns[1]
    assert (column.kind, column.offset, column.scale) == ("real", 0.5, 8.0)


def test_rows_in_any_order_are_sorted_and_told(tmp_path: Path) -> None:
    header, *rows = LONG.splitlines()
    mixed = read(tmp_path, "\n".join([header, rows[3], rows[0], rows[4], rows[1], rows[2]]), split="all")
    assert not any("sorted" in line for line in mixed.problems)  # series may be mixed
    back = read(tmp_path, "\n".join([header, rows[2], rows[0], rows[1], *rows[3:]]), split="all")
    assert "rows that were not in the order of time, sorted: 1" in back.problems
    assert isinstance(back.train, Series)
    assert torch.equal(back.train.steps.nan_to_num(-1), read(tmp_path, LONG, split="all").train.steps.nan_to_num(-1))  # type: ignore[attr-defined]


def test_irregular_time_is_a_lag_and_windows_begin_without_one(tmp_path: Path) -> None:
    times = [0, 1, 3, 4, 6, 7, 9, 10]
    data = read(tmp_path, "time,x\n" + "\n".join(f"{t},{t * t}" for t in times), window=3, split="all")
    lag = data.spec.columns[-1]
    assert (lag.name, lag.kind, lag.offset, lag.scale) == ("lag", "lag", 0, 2)
    x = data.train.batch(torch.arange(2)).x
    assert (2 * x[..., 1]).tolist() == [[0, 1, 2], [0, 2, 1]]
    assert data.spec.table is not None and data.spec.table.time_step is None


def test_columns_are_found_by_the_names_that_are_given(tmp_path: Path) -> None:
    text = LONG.replace("id,time,x,kind,count,owner,label", "who,day,x,kind,count,owner,mood")
    given = read(tmp_path, text, id_column="who", time_column="day", label_column="mood")
    assert given.spec.classes == ("no", "yes") and given.spec.shape == (3, 5)


def test_a_label_that_changes_is_a_column(tmp_path: Path) -> None:
    text = "id,x,y\n" + "\n".join(f"{row // 5},{row},{row % 3}" for row in range(20))
    data = read(tmp_path, text)
    assert data.spec.classes == () and [column.name for column in data.spec.columns] == ["x", "y"]


def test_a_wide_table_has_a_series_in_every_row(tmp_path: Path) -> None:
    text = "id,label,0,1,2\na,u,1,2,3\nb,v,4,,6\nc,u,7,8,\n"
    data = read(tmp_path, text, layout="wide", split="all")
    assert data.spec.shape == (3, 1) and data.spec.classes == ("u", "v") and data.spec.columns[0].missing
    batch = data.train.batch(torch.arange(3))
    assert batch.length is not None and batch.length.tolist() == [3, 3, 2]
    np.testing.assert_allclose(batch.x[1, :, 0] * 7 + 1, [4, np.nan, 6])


def test_numbers_among_what_is_missing(tmp_path: Path) -> None:
    cells = ["1", "", "NA", "nan", "NULL", "?", "2.5", " 3 ", "1e3"]
    data = read(tmp_path, "x,i\n" + "\n".join(f"{cell},{n}" for n, cell in enumerate(cells)), split="all")
    assert isinstance(data.train, Series)
    assert (data.train.steps[:, 0] * 999 + 1).tolist() == pytest.approx(
        [1, *[np.nan] * 5, 2.5, 3, 1000], nan_ok=True, rel=1e-4
    )


ROWS = "\n".join(f"{row},{row * 2}" for row in range(30))
LONG_NAMES = "\n".join(f"{row},word{row}" for row in range(70))

BAD = [
    ("a,b\n" + ROWS + "\n31,oops\n", {}, "column 'b' holds numbers, but 'oops' in line 32: mend the cell"),
    ("a,b\n" + LONG_NAMES, {}, "column 'b' holds text, 70 different values, and at most 64 are categories"),
    ("id,time,a\n1,0,5\n2,0,6\n1,1,7\n1,1,8\n2,1,9\n", {}, "1 of series 1 stands in two rows of column 'time'"),
    ("date,a\n2026-01-01,1\n2026-01-02,2\n2026-01-02,3\n", {}, "2026-01-02 00:00:00 stands in two rows"),
    ("date,a\n2026-01-01,1\nsoon,2\n", {}, "'soon' in column 'date' is no time"),
    ("time,a\n1,1\n,2\n", {}, "no time in column 'time' in row 2"),
    ("id,a\n1,1\n,2\n1,3\n", {}, "no id in column 'id' in row 2"),
    ("a,b\n1,2\n", {}, "has one row: a series needs at least 2 steps"),
    ("a,b\n" + ROWS, {"window": 31}, "window=31 is longer than .*: the series has 30 steps"),
    ("id,a\n" + ROWS, {}, "every row has an id of its own in column 'id'"),
    ("a,b\n,\n,\n,\n", {}, "every column is empty in the training part"),
    ("1,2\n3,4\n", {}, "has no header: its first line is 1, 2"),
    ("a,b\n", {}, "has a header and no rows"),
    ("", {}, "is empty: expected a header"),
    (",a\n0,1\n", {}, "column 1 has no name in the header"),
    ("a,a\n0,1\n", {}, "two columns with the name 'a'"),
    ("a,b\n1,2\n3\n", {}, "has 1 cells in line 3, expected 2"),
    ("a,b\n1,2\n3,inf\n", {}, "column 'b' holds an infinite value in line 3"),
    ("id,time\n1,1\n1,2\n", {}, "and no column of features beside them"),
    ("a,b\n" + ROWS, {"id_column": "c"}, r"unknown column of .* \(id_column\) 'c'"),
    ("a,b\n" + ROWS, {"label_column": "b"}, "name theirs by id_column too"),
    ("id,a,b\n1,1,2\n1,2,3\n2,0,0\n2,1,1\n", {"label_column": "b"}, "column 'b' changes within a series"),
    ("a,b\n" + ROWS, {"layout": "nct"}, "layout=nct is for arrays"),
    ("a,b\n1,x\n2,y\n", {"layout": "wide"}, "column 'b' holds text, and with layout=wide every column is a step"),
    ("a,b\n1,2\n,\n", {"layout": "wide"}, "series 1 has no value"),
    ("a,b\n" + ROWS, {"layout": "wide", "time_column": "a"}, "the columns are the steps; leave it out"),
]


@pytest.mark.parametrize(("text", "settings", "message"), BAD)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read(tmp_path, text, **settings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("place", range(0, len(BAD), 3))
def test_the_command_line_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: int) -> None:
    text, settings, _ = BAD[place]
    (tmp_path / "a.csv").write_text(text)
    options = {"id_column": "--id", "label_column": "--label", "time_column": "--time"}
    words = [str(word) for key, value in settings.items() for word in (options.get(key, f"--{key}"), value)]
    assert main(["data", str(tmp_path / "a.csv"), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00\x01\x02\xff", b"a,b\n1,\xff\xfe\n", b"a,b\n1,\x00\n2,3\n"])
def test_what_is_no_text_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.csv"):
        load_data(tmp_path / "a.csv")


def test_a_broken_parquet_is_told(tmp_path: Path) -> None:
    frames = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    frames.DataFrame({"a": np.arange(30.0)}).to_parquet(path)
    assert load_data(path, window=3).spec.shape == (3, 1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="truncated, corrupt or no Parquet file"):
        load_data(path)

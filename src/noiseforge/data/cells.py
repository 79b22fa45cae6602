"""Columns of tables as they are read: from text with a delimiter, from Parquet, and from data frames."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noiseforge.errors import UserError
from noiseforge.files import readable, reading

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
"""Cells that say that a value is missing, in lower case."""

DELIMITERS = (",", ";", "\t")

ROWS = 1 << 12
"""Lines that are turned into numbers at a time."""


class Cells(NamedTuple):
    """A column of a table."""

    name: str
    values: np.ndarray
    """(rows,) float64: numbers, seconds since 1970 of dates, or the places of text among `texts`; NaN is missing."""
    texts: tuple[str, ...] | None = None
    dtype: str = "float64"

    @property
    def dates(self) -> bool:
        """They are points in time."""
        return self.dtype.startswith("datetime64")

    @property
    def whole(self) -> bool:
        """They are whole numbers, or missing, and one is known."""
        known = self.values[~np.isnan(self.values)]
        return self.texts is None and not self.dates and len(known) > 0 and bool((known == np.floor(known)).all())

    def text(self, row: int) -> str:
        """What stands in a row."""
        value = self.values[row]
        if np.isnan(value):
            return "nothing"
        if self.dates:
            return str(np.datetime64(round(value * 1e6), "us")).removesuffix(".000000").replace("T", " ")
        return f"{value:.15g}" if self.texts is None else self.texts[int(value)]


class _Gathered:
    """One column, while its cells come: numbers or text is settled by the first of them that are not missing."""

    def __init__(self, name: str, where: str, *, comma: bool) -> None:
        """`comma`: it may stand in numbers in place of the point, as it does not stand between the cells."""
        self.name, self.where, self._comma = name, where, comma
        self._parts: list[np.ndarray] = []
        self._texts: dict[str, int] = {}
        self._is_text: bool | None = None

    def add(self, cells: Sequence[str], line: Callable[[int], int]) -> None:
        """More cells; `line` gives the line of the file that each is from."""
        if self._is_text is None:
            self._is_text = _are_text(cells, comma=self._comma)
        self._parts.append(self._places(cells) if self._is_text else self._numbers(cells, line))

    @property
    def empty(self) -> bool:
        """No row has come."""
        return not self._parts

    def cells(self) -> Cells:
        """The whole column, its texts in order."""
        values = np.concatenate(self._parts)
        if not self._is_text:
            column = Cells(self.name, values)
            return column._replace(dtype="int64") if column.whole and not np.isnan(values).any() else column
        order = sorted(self._texts)
        ranks = np.full(len(order) + 1, np.nan)
        ranks[[self._texts[text] for text in order]] = np.arange(len(order))
        return Cells(self.name, ranks[np.nan_to_num(values, nan=-1).astype(np.int64)], tuple(order), "str")

    def _places(self, cells: Sequence[str]) -> np.ndarray:
        """Places in the order of appearance; -1 where missing."""
        known = self._texts
        return np.array([-1 if cell.lower() in MISSING else known.setdefault(cell, len(known)) for cell in cells])

    def _numbers(self, cells: Sequence[str], line: Callable[[int], int]) -> np.ndarray:
        try:
            values = np.array(list(map(float, cells)))
        except ValueError:
            values = np.array([self._number(cell, place, line) for place, cell in enumerate(cells)])
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise UserError(
                f"{self.where}: column {self.name!r} holds an infinite value in line {line(infinite[0])}: "
                f"expected numbers, or an empty cell for what is missing"
            )
        return values

    def _number(self, cell: str, place: int, line: Callable[[int], int]) -> float:
        value = _parsed(cell, comma=self._comma)
        if value is None:
            raise UserError(
                f"{self.where}: column {self.name!r} holds numbers, but {readable(cell)[:40]!r} in line {line(place)}: "
                f"mend the cell, or leave it empty if the value is missing"
            )
        return value


def read_delimited(path: Path) -> list[Cells]:
    """The columns of a text file with a header, and `,`, `;` or tabs between the cells.

    Raises:
        UserError: it is empty, no text, has no header or no rows, or a line or a cell does not fit.
    """
    with reading(path), path.open(newline="", encoding="utf-8-sig") as file:
        try:
            header = file.readline()
            if not header.strip():
                raise UserError(f"{path} is empty: expected a header with the names of columns, and rows of values")
            file.seek(0)
            delimiter = max(DELIMITERS, key=header.count)
            reader = csv.reader(file, delimiter=delimiter)
            names = _names(next(reader), path)
            gathered = [_Gathered(name, str(path), comma=delimiter != ",") for name in names]
            for lines, rows in _chunks(reader):
                _check_widths(rows, lines, len(names), path)
                for column, cells in zip(gathered, zip(*rows, strict=True), strict=True):
                    column.add(cells, lines.__getitem__)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} is no table of text in UTF-8 ({error}); write it again") from error
    if gathered[0].empty:
        raise UserError(f"{path} has a header and no rows: nothing to learn; check the file")
    return [column.cells() for column in gathered]


def read_parquet(path: Path) -> list[Cells]:
    """The columns of a Parquet file.

    Raises:
        UserError: pandas or pyarrow are not installed, or the file cannot be read.
    """
    try:
        import pandas
        import pyarrow
    except ImportError as error:
        raise UserError(f"{path} needs pandas and pyarrow: pip install 'noiseforge[frames]'") from error
    try:
        with reading(path):
            frame = pandas.read_parquet(path, engine="pyarrow")
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is truncated, corrupt or no Parquet file ({reason}); write it again") from error
    return frame_cells(frame, str(path))


def frame_cells(frame: Any, where: str) -> list[Cells]:
    """The columns of a data frame, those of a named index before them.

    Raises:
        UserError: it has no rows, two columns have one name, or a column holds what is no number, text or date.
    """
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    if len(frame) == 0 or len(frame.columns) == 0:
        raise UserError(f"{where} holds no {'columns' if len(frame) else 'rows'}: nothing to learn")
    names = [str(name) for name in frame.columns]
    _check_distinct(names, where)
    return [_frame_column(frame.iloc[:, place], name, where) for place, name in enumerate(names)]


def _names(header: list[str], path: Path) -> list[str]:
    names = [name.strip() for name in header]
    if all(_parsed(name) is not None for name in names):
        raise UserError(f"{path} has no header: its first line is {', '.join(names[:4])}; add the names of the columns")
    if "" in names:
        raise UserError(f"{path}: column {names.index('') + 1} has no name in the header; give it one, or remove it")
    _check_distinct(names, str(path))
    return names


def _check_distinct(names: list[str], where: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{where} has two columns with the name {twice!r}: rename one of them")


def _chunks(reader: Any) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
    """Rows that are not empty, some at a time, and the lines that they are from."""
    start = reader.line_num + 1
    while rows := list(islice(reader, ROWS)):
        lines: Sequence[int] = range(start, start + len(rows))
        start += len(rows)
        if not all(rows):
            lines = [line for line, row in zip(lines, rows, strict=True) if row]
            rows = [row for row in rows if row]
        if rows:
            yield lines, rows


def _check_widths(rows: list[list[str]], lines: Sequence[int], width: int, path: Path) -> None:
    if set(map(len, rows)) == {width}:
        return
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            raise UserError(f"{path} has {len(row)} cells in line {line}, expected {width}, one for each column")


def _are_text(cells: Sequence[str], *, comma: bool) -> bool | None:
    """Fewer than half of what is not missing are numbers; None where all is missing."""
    known = [cell for cell in cells if cell.strip().lower() not in MISSING]
    return 2 * sum(_parsed(cell, comma=comma) is not None for cell in known) < len(known) if known else None


def _parsed(cell: str, *, comma: bool = False) -> float | None:
    """The number of a cell, NaN where it is missing; None for text."""
    if cell.strip().lower() in MISSING:
        return np.nan
    try:
        return float(cell.replace(",", ".") if comma else cell)
    except ValueError:
        return None


def _frame_column(column: Any, name: str, where: str) -> Cells:
    import pandas
    from pandas.api import types

    dtype = column.dtype
    if isinstance(dtype, pandas.CategoricalDtype):
        kinds = f"category,{dtype.categories.dtype},{'ordered' if dtype.ordered else 'unordered'}"
        places = column.cat.codes.to_numpy().astype(np.float64)
        return Cells(name, np.where(places < 0, np.nan, places), tuple(map(str, dtype.categories)), kinds)
    if types.is_datetime64_any_dtype(dtype):
        zone = f",{dtype.tz}" if hasattr(dtype, "tz") else ""
        return Cells(name, _seconds(column), None, f"datetime64[{column.dt.unit}]{zone}")
    if types.is_bool_dtype(dtype) or types.is_numeric_dtype(dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise UserError(
                f"{where}: column {name!r} holds an infinite value in row {row}; NaN is for what is missing"
            )
        return Cells(name, values, None, str(dtype))
    known = column[column.notna()]
    wrong = next((place for place, value in known.items() if not isinstance(value, str)), None)
    if wrong is not None:
        found = type(known[wrong]).__name__
        raise UserError(f"{where}: column {name!r} holds text or numbers mixed with {found} in row {wrong}: mend it")
    codes, texts = pandas.factorize(column, sort=True)
    return Cells(name, np.where(codes < 0, np.nan, codes), tuple(map(str, texts)), str(dtype))


def _seconds(column: Any) -> np.ndarray:
    """Dates as seconds since 1970."""
    naive = column if column.dt.tz is None else column.dt.tz_convert("UTC").dt.tz_localize(None)
    stamps = naive.to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64) / 1e6)

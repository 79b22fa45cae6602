"""Tables of series: which columns say whose row it is, when it was and what it is called, and which are features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from noiseforge.data.cells import Cells
from noiseforge.data.columns import WHOLE_LAGS
from noiseforge.data.recorded import Recorded, SeriesSettings
from noiseforge.data.spec import Column, Table
from noiseforge.data.stamps import as_stamps, even_step
from noiseforge.data.takes import numbers
from noiseforge.errors import UserError, unknown

ID_NAMES = ("id", "series", "series_id", "sequence")
TIME_NAMES = ("time", "timestamp", "date", "datetime")
LABEL_NAMES = ("label", "class", "target", "y")
"""Names, in any case, by which columns are known where the settings name none."""

MOST_CATEGORIES = 64
"""Different texts up to which a column is one of categories."""

LARGEST_WHOLE = 2.0**53
"""Whole numbers above it are not exact."""


class Rows(NamedTuple):
    """Rows in the order of their series and of time."""

    order: np.ndarray
    lengths: np.ndarray
    time: Cells | None
    """In that order."""
    problems: tuple[str, ...]


def long_table(cells: list[Cells], settings: SeriesSettings, where: str) -> Recorded:
    """Series of a table that has a row for every step, told apart by an id column, or else one long series.

    Raises:
        UserError: a column that is named is not there, time stamps come twice, or a column is neither of numbers nor
            of a few texts.
    """
    names = [column.name for column in cells]
    ids = _named(cells, settings.id_column, ID_NAMES, "id_column", where)
    time = _named(cells, settings.time_column, TIME_NAMES, "time_column", where)
    if len(cells[0].values) == 1:
        raise UserError(f"{where} has one row: a series needs at least 2 steps; check the file")
    rows = rows_of_series(ids, None if time is None else as_stamps(time, where), len(cells[0].values), where)
    sorted_cells = [column._replace(values=column.values[rows.order]) for column in cells]
    label = _label(sorted_cells, ids, settings, rows.lengths, where)
    labels, classes = (None, ()) if label is None else _labels(label, rows.lengths, where)
    taken = {column.name for column in (ids, time, label) if column is not None}
    features = [column for column in sorted_cells if column.name not in taken]
    if not features:
        raise UserError(f"{where} holds {', '.join(names)}, and no column of features beside them: add one")
    columns = [_column(column, rows.lengths, where) for column in features]
    values = [column.values for column in features]
    step = None
    if rows.time is not None:
        lags = np.diff(rows.time.values, prepend=rows.time.values[0])
        inside = np.ones(len(lags), bool)
        inside[np.cumsum(rows.lengths) - rows.lengths] = False
        step = even_step(lags[inside])
        if step is None and inside.any():
            lags = np.where(inside, lags, 0.0)
            dtype = WHOLE_LAGS if (lags == np.floor(lags)).all() else "float64"
            columns.append(Column(name=_free_name("lag", names), kind="lag", dtype=dtype))
            values.append(lags)
    table = Table(
        order=tuple(names),
        **_told_of(id=ids, label=label),
        time_column=time and time.name,
        time_dtype=rows.time.dtype if rows.time else "float64",
        time_start=float(rows.time.values[0]) if rows.time else 0.0,
        time_step=step,
    )
    return Recorded(
        np.stack(values, 1), tuple(columns), rows.lengths, labels, classes, table=table, problems=rows.problems
    )


def wide_table(cells: list[Cells], settings: SeriesSettings, where: str) -> Recorded:
    """Series of a table that has a row for every series of one feature; empty cells at its end are no steps.

    Raises:
        UserError: a cell is no number, or a row has no value.
    """
    ids = _named(cells, settings.id_column, ID_NAMES, "id_column", where)
    label = _named(cells, settings.label_column, LABEL_NAMES, "label_column", where)
    if settings.time_column is not None:
        raise UserError(f"layout=wide with time_column={settings.time_column}: the columns are the steps; leave it out")
    taken = [column.name for column in (ids, label) if column is not None]
    steps = [column for column in cells if column.name not in taken]
    text = next((column for column in steps if column.texts is not None), None)
    if text is not None:
        raise UserError(
            f"{where}: column {text.name!r} holds text, and with layout=wide every column is a step: name it by "
            f"id_column or label_column, or remove it"
        )
    if len(steps) < 2:
        raise UserError(f"{where} has {len(steps)} steps: layout=wide needs a column for every step, at least 2")
    labels, classes = (None, ()) if label is None else _labels(label, np.ones(len(label.values), np.int64), where)
    found = ended(np.stack([column.values for column in steps], 1)[:, :, None], where)
    kind = "integer" if all(column.whole or np.isnan(column.values).all() for column in steps) else "real"
    column = Column(name="value", kind=kind, dtype=steps[0].dtype)
    table = Table(order=tuple(column.name for column in cells), wide=True, **_told_of(id=ids, label=label))
    return found._replace(columns=(column,), labels=labels, classes=classes, table=table)


def ended(x: np.ndarray, where: str, length: np.ndarray | None = None) -> Recorded:
    """Arrays (N, T, D) as series without columns yet; without `length`, steps of NaN alone at the end are none.

    Raises:
        UserError: a series has no step.
    """
    problems: tuple[str, ...] = ()
    if length is None:
        known = ~np.isnan(x).all(2)
        length = np.where(known.any(1), x.shape[1] - known[:, ::-1].argmax(1), 0)
        problems = (f"series that end before {x.shape[1]} steps, as nothing follows: {(length < x.shape[1]).sum()}",)
    if (length == 0).any():
        raise UserError(f"{where}: series {int((length == 0).argmax())} has no value; remove it")
    values = x[np.arange(x.shape[1]) < length[:, None]]
    return Recorded(values, (), length.astype(np.int64), problems=problems if (length < x.shape[1]).any() else ())


def _told_of(**columns: Cells | None) -> dict[str, str]:
    """Names and types of columns, as a `Table` keeps them."""
    told: dict[str, str] = {}
    for role, column in columns.items():
        if column is not None:
            told |= {f"{role}_column": column.name, f"{role}_dtype": column.dtype}
    return told


def _named(cells: list[Cells], name: str | None, usual: Sequence[str], setting: str, where: str) -> Cells | None:
    """The column that the setting names, or that has one of the usual names."""
    known = {column.name: column for column in cells}
    if name is not None:
        if name not in known:
            raise unknown(f"column of {where} ({setting})", name, known)
        return known[name]
    return next((column for column in cells if column.name.lower() in usual), None)


def _free_name(name: str, taken: list[str]) -> str:
    while name in taken:
        name = f"{name}_"
    return name


def rows_of_series(ids: Cells | None, time: Cells | None, count: int, where: str) -> Rows:
    """The `count` rows of a table in the order of their series, and in each of time.

    Raises:
        UserError: an id is missing, every row has its own, or one stamp of a series comes twice.
    """
    places = np.zeros(count, np.int64) if ids is None else _order_of_appearance(ids, where)
    order = np.argsort(places, kind="stable")
    lengths = np.bincount(places)
    if ids is not None and lengths.max() == 1:
        raise UserError(
            f"{where}: every row has an id of its own in column {ids.name!r}, so that no series has 2 steps: name "
            f"another by id_column, or give layout=wide if a row is a series"
        )
    if time is None:
        return Rows(order, lengths, None, ())
    same = np.diff(places[order]) == 0
    back = same & (np.diff(time.values[order]) < 0)
    order = np.lexsort((time.values, places))
    stamps = time.values[order]
    twice = np.flatnonzero((np.diff(places[order]) == 0) & (np.diff(stamps) == 0))
    if len(twice):
        row = order[twice[0]]
        whose = "" if ids is None else f" of series {ids.text(row)}"
        raise UserError(
            f"{where}: {time.text(row)}{whose} stands in two rows of column {time.name!r}: remove one of them, or name "
            f"the column that tells series apart by id_column"
        )
    told = (f"rows that were not in the order of {time.name}, sorted: {int(back.sum())}",) if back.any() else ()
    return Rows(order, lengths, time._replace(values=stamps), told)


def _order_of_appearance(ids: Cells, where: str) -> np.ndarray:
    """The place (rows,) of each row's series."""
    gap = np.flatnonzero(np.isnan(ids.values))
    if len(gap):
        raise UserError(f"{where}: no id in column {ids.name!r} in row {gap[0] + 1}: fill it, or remove the row")
    _, first, inverse = np.unique(ids.values, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks[inverse]


def _label(
    cells: list[Cells], ids: Cells | None, settings: SeriesSettings, lengths: np.ndarray, where: str
) -> Cells | None:
    """The column of labels, which is constant in each of several series."""
    if ids is None:
        if settings.label_column is not None:
            raise UserError(f"label_column={settings.label_column} labels whole series: name theirs by id_column too")
        return None
    label = _named(cells, settings.label_column, LABEL_NAMES, "label_column", where)
    if label is None:
        return None
    changed = np.flatnonzero(label.values != np.repeat(label.values[np.cumsum(lengths) - lengths], lengths))
    if len(changed) == 0 and (label.whole or label.texts is not None):
        return label
    if settings.label_column is None:
        return None
    what = "changes within a series or is missing" if len(changed) else "holds numbers that are not whole"
    raise UserError(f"{where}: column {label.name!r} {what}: a label is one name or whole number for a whole series")


def _labels(label: Cells, lengths: np.ndarray, where: str) -> tuple[Tensor, tuple[str, ...]]:
    """The label (N,) of every series, and the names."""
    first = np.cumsum(lengths) - lengths
    if np.isnan(label.values[first]).any():
        raise UserError(f"{where}: labels are missing in column {label.name!r}: fill them, or remove the rows")
    classes, places = numbers(label.text(row) for row in first.tolist())
    assert places is not None
    return places, classes


def _column(column: Cells, lengths: np.ndarray, where: str) -> Column:
    if column.dates:
        raise UserError(f"{where}: column {column.name!r} holds dates: name it by time_column, or remove it")
    if column.texts is not None and len(column.texts) > MOST_CATEGORIES:
        raise UserError(
            f"{where}: column {column.name!r} holds text, {len(column.texts)} different values, and at most "
            f"{MOST_CATEGORIES} are categories: name it by id_column, time_column or label_column, or remove it"
        )
    whole = column.whole and float(np.nanmax(np.abs(column.values))) <= LARGEST_WHOLE
    return Column(
        name=column.name,
        kind="category" if column.texts is not None else "integer" if whole else "real",
        categories=column.texts or (),
        attribute=_is_attribute(column.values, lengths),
        dtype=column.dtype,
    )


def _is_attribute(values: np.ndarray, lengths: np.ndarray) -> bool:
    """One value in every series, as far as it is known, and not in all of them the same."""
    if len(lengths) < 2 or lengths.max() < 2:
        return False
    starts = np.cumsum(lengths) - lengths
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    known = ~np.isnan(low)
    return bool((low[known] == high[known]).all() and len(np.unique(low[known])) > 1)

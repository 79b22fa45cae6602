"""Series back in the form of the table that they came from: rows of cells, and pandas data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from noiseforge.data.columns import to_source
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Column, Spec, Table
from noiseforge.data.stamps import date_texts
from noiseforge.errors import UserError

if TYPE_CHECKING:
    import pandas

CATEGORY = "category,"
"""How the type of a column of categories begins; after it come the type of the categories and whether they have an
order."""

ID = "id"
"""The column that tells series apart, where the source had none."""


def to_frame(samples: Samples, spec: Spec) -> pandas.DataFrame:
    """Series as a data frame with the columns, types and categories of the source.

    It has a row for every step, or with a wide source for every series. Series are numbered from 0 in the id column,
    which is added where the source had none. Time begins where the source's does.

    Raises:
        UserError: pandas is not installed, or the samples are no sequences.
    """
    try:
        import pandas
    except ImportError as error:
        raise UserError("data frames need pandas: pip install 'noiseforge[frames]'") from error
    columns = source_columns(samples, spec)
    kinds = _types(spec)
    return pandas.DataFrame({name: _typed(values, *kinds[name]) for name, values in columns.items()})


def source_columns(samples: Samples, spec: Spec) -> dict[str, np.ndarray]:
    """The columns (rows,) of a table of the series, in the order of the source.

    Numbers are float64 and NaN where missing, dates seconds since 1970, categories places among the column's, labels
    numbers of classes, and ids whole numbers.
    """
    if spec.modality != "sequence":
        raise UserError(f"a table is for sequences, and these are {spec.examples}")
    table = spec.table or Table(order=())
    if table.wide:
        return _wide_columns(samples, spec, table)
    count, steps = samples.x.shape[:2]
    length = np.full(count, steps) if samples.length is None else samples.length.cpu().numpy()
    known = np.arange(steps) < length[:, None]
    found = {name: _rows(values, length, known) for name, values in to_source(samples.x, samples.length, spec).items()}
    found[table.id_column or ID] = np.repeat(np.arange(count), length)
    lag = next((column.name for column in spec.columns if column.kind == "lag"), None)
    if table.time_column is not None:
        passed = _passed(found.pop(lag), length) if lag else np.tile(np.arange(steps), (count, 1))[known]
        found[table.time_column] = table.time_start + passed * (1.0 if lag else table.time_step or 1.0)
    if samples.y is not None and spec.classes:
        found[label_name(spec)] = np.repeat(samples.y.cpu().numpy(), length)
    return _in_order(found, spec, table)


def label_name(spec: Spec) -> str:
    """What the column of labels is called."""
    return (spec.table and spec.table.label_column) or "label"


def cell_texts(columns: dict[str, np.ndarray], spec: Spec) -> dict[str, list[str]]:
    """Columns of `source_columns` as the cells of a text file; empty where a value is missing."""
    kinds = _types(spec)
    return {name: _texts(values, *kinds[name]) for name, values in columns.items()}


def _wide_columns(samples: Samples, spec: Spec, table: Table) -> dict[str, np.ndarray]:
    values = to_source(samples.x, samples.length, spec)[spec.columns[0].name]
    taken = (table.id_column, table.label_column)
    steps = [name for name in table.order if name not in taken][: values.shape[1]]
    found = dict(zip(steps, values.T, strict=True))
    if table.id_column is not None:
        found[table.id_column] = np.arange(len(values))
    if samples.y is not None and spec.classes:
        found[label_name(spec)] = samples.y.cpu().numpy()
    return _in_order(found, spec, table)


def _rows(values: np.ndarray, length: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values (N, T), or (N,) of attributes, as the column (rows,)."""
    return np.repeat(values, length) if values.ndim == 1 else values[known]


def _passed(lags: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The time (rows,) since the first step of each series; a lag that is missing is none."""
    total = np.nan_to_num(lags).cumsum()
    starts = np.cumsum(length) - length
    return total - np.repeat(total[starts], length)


def _in_order(found: dict[str, np.ndarray], spec: Spec, table: Table) -> dict[str, np.ndarray]:
    """Id and time first where the source had none, then the source's order, then what is new."""
    order = [name for name in table.order if name in found]
    if table.id_column is None and ID in found:
        order.insert(0, ID)
    return {name: found[name] for name in [*order, *(name for name in found if name not in order)]}


def _types(spec: Spec) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The type of every column of a table of the series, and the names that its places stand for."""
    table = spec.table or Table(order=())
    kinds: dict[str, tuple[str, tuple[str, ...]]] = {column.name: _type(column) for column in spec.columns}
    if table.wide:
        kinds |= dict.fromkeys(table.order, _type(spec.columns[0]))
    kinds[table.id_column or ID] = (table.id_dtype, ())
    if table.time_column is not None:
        kinds[table.time_column] = (table.time_dtype, ())
    kinds[label_name(spec)] = (table.label_dtype, spec.classes)
    return kinds


def _type(column: Column) -> tuple[str, tuple[str, ...]]:
    return column.dtype, column.categories


def _typed(values: np.ndarray, dtype: str, names: tuple[str, ...]) -> Any:
    """A column (rows,) of a data frame."""
    import pandas
    from pandas.api import types

    if dtype.startswith("datetime64"):
        return _dates(values, dtype)
    places = np.nan_to_num(values, nan=-1).round().astype(np.int64)
    of, _, order = dtype.removeprefix(CATEGORY).rpartition(",")
    if dtype.startswith(CATEGORY) and names:
        return pandas.Categorical.from_codes(places, pandas.Index(names).astype(of), ordered=order == "ordered")
    wanted = types.pandas_dtype("object" if dtype.startswith(CATEGORY) else dtype)
    if types.is_string_dtype(wanted):
        texts = np.array([*names, None], dtype=object)[places] if names else list(map(str, places))
        return pandas.Series(texts, dtype=wanted)
    if names:
        values = np.array(names).astype(np.float64)[places]
    if wanted.kind not in "biu":
        return pandas.Series(values).astype(wanted)
    if isinstance(wanted, np.dtype) and np.isnan(values).any():
        return pandas.Series(values)
    limits = np.iinfo(f"{wanted.kind}{wanted.itemsize}") if wanted.kind in "iu" else None
    whole = pandas.Series(values.round() if limits is None else values.round().clip(limits.min, limits.max))
    return whole.astype(wanted)


def _dates(seconds: np.ndarray, dtype: str) -> Any:
    import pandas

    kind, _, zone = dtype.partition(",")
    stamps = pandas.Series((seconds * 1e6).round().astype("int64").astype("datetime64[us]").astype(kind))
    return stamps.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else stamps


def _texts(values: np.ndarray, dtype: str, names: tuple[str, ...]) -> list[str]:
    if dtype.startswith("datetime64"):
        return date_texts(values, zone="," in dtype)
    if names:
        return ["" if np.isnan(value) else names[int(value)] for value in values.tolist()]
    return ["" if np.isnan(value) else _number(value) for value in values.tolist()]


def _number(value: float) -> str:
    """As short as it can be written: whole numbers without a point."""
    return str(int(value)) if value == int(value) else f"{value:.15g}"

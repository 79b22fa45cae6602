"""Sequences that were made elsewhere, or saved by `save_samples`, in the units of a model."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.arrays import load_arrays
from noiseforge.data.cells import Cells, read_delimited, read_parquet
from noiseforge.data.columns import to_features
from noiseforge.data.frames import ID, label_name
from noiseforge.data.recorded import Recorded
from noiseforge.data.samples import Samples
from noiseforge.data.series import Series
from noiseforge.data.series_arrays import check_lengths, with_steps_first
from noiseforge.data.spec import Column, Spec, Table
from noiseforge.data.stamps import as_stamps
from noiseforge.data.tables import ended, rows_of_series
from noiseforge.errors import UserError

log = logging.getLogger(__name__)


def read_series_samples(path: Path, spec: Spec) -> Samples:
    """A table with the columns of the source (`.csv`, `.tsv`, `.parquet`), or an array (N, T, columns), as samples.

    Raises:
        UserError: there is no such file, it cannot be read, or columns are missing or hold what they cannot.
    """
    ending = path.suffix.lower()
    if not path.is_file() or ending not in (".csv", ".tsv", ".parquet", ".npy", ".npz"):
        raise UserError(f"{path} holds no samples of {spec.source}: expected a run, .csv, .parquet, .npy or .npz")
    if ending not in (".npy", ".npz"):
        return _of_table(read_parquet(path) if ending == ".parquet" else read_delimited(path), spec, str(path))
    loaded = load_arrays(path)
    arrays = {"samples": loaded} if isinstance(loaded, np.ndarray) else loaded
    values = arrays.get("samples", arrays.get("x"))
    if values is None:
        raise UserError(f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}: expected an array 'samples'")
    samples = series_of_array(values, spec, str(path), arrays.get("length"))
    labels = arrays.get("labels", arrays.get("y"))
    if labels is None or not spec.classes:
        return samples
    if (
        labels.shape != (len(values),)
        or labels.dtype.kind not in "iu"
        or not ((labels >= 0) & (labels < len(spec.classes))).all()
    ):
        raise UserError(f"{path}: labels must be {len(values)} whole numbers from 0 to {len(spec.classes) - 1}")
    return samples._replace(y=torch.from_numpy(labels.astype(np.int64)))


def series_of_array(values: np.ndarray, spec: Spec, where: str, length: np.ndarray | None = None) -> Samples:
    """Series (N, any T, columns) in source units, of categories their places, as samples.

    Raises:
        UserError: another shape, or values or lengths that cannot be.
    """
    x = with_steps_first(values, "ntc", where)
    if x.shape[2] != len(spec.columns):
        names = ", ".join(column.name for column in spec.columns)
        raise UserError(f"{where} has {x.shape[2]} columns, and {spec.source} has {len(spec.columns)}: {names}")
    for place, column in enumerate(spec.columns):
        known = x[:, :, place][~np.isnan(x[:, :, place])]
        if column.kind == "category" and not np.isin(known, np.arange(column.width)).all():
            raise UserError(f"{where}: column {column.name!r} has {column.width} categories, told by 0, 1, ...")
    return _samples(ended(x, where, None if length is None else check_lengths(length, x, where)), spec, None)


def _of_table(cells: list[Cells], spec: Spec, where: str) -> Samples:
    table = spec.table or Table(order=())
    known = {column.name: column for column in cells}
    ids, label = known.get(table.id_column or ID), known.get(label_name(spec))
    if table.wide:
        taken = (ids and ids.name, label and label.name)
        steps = [column.values for column in cells if column.name not in taken]
        first = np.arange(len(steps[0]))
        return _samples(ended(np.stack(steps, 1)[:, :, None], where), spec, _labels(label, first, spec, where))
    time = known.get(table.time_column or "")
    rows = rows_of_series(ids, None if time is None else as_stamps(time, where), len(cells[0].values), where)
    starts = np.cumsum(rows.lengths) - rows.lengths
    values = []
    for column in spec.columns:
        if column.kind == "lag" and rows.time is not None:
            lags = np.diff(rows.time.values, prepend=rows.time.values[0])
            lags[starts] = 0
            values.append(lags)
        elif column.name in known:
            values.append(_values(known[column.name], column, where)[rows.order])
        else:
            raise UserError(
                f"{where} has no column {column.name!r}, which {spec.source} has; it has {', '.join(known)}"
            )
    recorded = Recorded(np.stack(values, 1), spec.columns, rows.lengths)
    return _samples(recorded, spec, _labels(label, rows.order[starts], spec, where))


def _values(cells: Cells, column: Column, where: str) -> np.ndarray:
    """Cells (rows,) as the numbers of a column of the source."""
    if column.kind != "category":
        if cells.texts is not None:
            raise UserError(f"{where}: column {column.name!r} holds text, expected numbers")
        return cells.values
    distinct, first, inverse = np.unique(cells.values, return_index=True, return_inverse=True)
    places = {name: place for place, name in enumerate(column.categories)}
    found = [
        np.nan if np.isnan(value) else places.get(cells.text(row), -1)
        for value, row in zip(distinct, first, strict=True)
    ]
    if -1 in found:
        strange = cells.text(first[found.index(-1)])
        raise UserError(f"{where}: {strange!r} is no category of column {column.name!r}: {', '.join(places)}")
    return np.array(found)[inverse]


def _labels(label: Cells | None, rows: np.ndarray, spec: Spec, where: str) -> Tensor | None:
    """The labels in these rows as indices of the real classes; None, with a warning, where they are no classes."""
    if label is None or not spec.classes:
        return None
    places = {name: place for place, name in enumerate(spec.classes)}
    names = [label.text(row) for row in rows.tolist()]
    strange = next((name for name in names if name not in places), None)
    if strange is not None:
        log.warning("%s: labels are left out, as %r is no class of %s", where, strange, spec.source)
        return None
    return torch.tensor([places[name] for name in names])


def _samples(recorded: Recorded, spec: Spec, y: Tensor | None) -> Samples:
    """Series of any lengths as samples, cut to the longest of the real data."""
    longest = spec.shape[0]
    cut = int((recorded.lengths > longest).sum())
    if cut:
        log.warning("%d samples end after %d steps, where the longest real series does", cut, longest)
    lengths = torch.from_numpy(recorded.lengths).clamp(max=longest)
    steps = to_features(recorded.values, spec.columns)
    batch = Series(steps, torch.from_numpy(recorded.starts), lengths, y, spec).batch(torch.arange(len(lengths)))
    return Samples(batch.x, batch.y, batch.length)

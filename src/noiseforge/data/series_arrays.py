"""`.npy` and `.npz` files of series, whose order of axes is told and never guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from noiseforge.data.arrays import load_arrays, parts_of
from noiseforge.data.labels import numbered
from noiseforge.data.recorded import Layout, Recorded, SeriesSettings
from noiseforge.data.spec import Column
from noiseforge.data.tables import ended
from noiseforge.errors import UserError

AXES = {"ntc": "(N, T, D): series, steps, features", "nct": "(N, D, T): series, features, steps", "wide": "(N, T)"}


def read_series_arrays(path: Path, settings: SeriesSettings) -> Recorded:
    """The series of a `.npy` or `.npz` file, with `length` (N,) steps each; NaN is missing.

    Raises:
        UserError: it is corrupt, or its shape, values, labels or lengths are not as expected.
    """
    loaded = load_arrays(path)
    arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else loaded
    parts = parts_of(arrays, path)
    x = with_steps_first(parts.x, settings.layout or "ntc", str(path))
    labels, classes = (None, ()) if parts.y is None else numbered(parts.y, where=str(path))
    lengths = [arrays[name] for name in ("length", "length_train", "length_test") if name in arrays]
    length = check_lengths(np.concatenate(lengths), x, str(path)) if lengths else None
    found = ended(x, str(path), length)
    known = [values[~np.isnan(values)] for values in found.values.T]
    columns = [
        Column(
            name=f"x{place}",
            kind="integer" if len(values) and (values == np.floor(values)).all() else "real",
            dtype=str(parts.x.dtype),
        )
        for place, values in enumerate(known)
    ]
    return found._replace(columns=tuple(columns), labels=labels, classes=classes, train_count=parts.train_count)


def with_steps_first(x: np.ndarray, layout: Layout, where: str) -> np.ndarray:
    """Arrays in a layout as (N, T, D) float64, such as aeon and sktime take them: they have `nct`.

    Raises:
        UserError: another number of axes, no numbers, or infinite ones.

    >>> with_steps_first(np.zeros((5, 2, 30)), "nct", "x").shape
    (5, 30, 2)
    """
    if x.ndim != (2 if layout == "wide" else 3) or 0 in x.shape:
        raise UserError(f"{where} has shape {x.shape}: layout={layout} is {AXES[layout]}, and none of them 0")
    if x.dtype.kind not in "biuf":
        raise UserError(f"{where} holds values of type {x.dtype}: expected numbers")
    if x.shape[2 if layout == "nct" else 1] < 2:
        raise UserError(f"{where} has shape {x.shape}, with layout={layout} series of one step: expected at least 2")
    values = x.astype(np.float64)
    if np.isinf(values).any():
        wrong = np.flatnonzero(np.isinf(values.reshape(len(values), -1)).any(1))
        raise UserError(
            f"{where} holds infinite values in {len(wrong)} of {len(x)} series, the first at index {wrong[0]}; "
            f"NaN is for what is missing"
        )
    return values[:, :, None] if layout == "wide" else values.transpose(0, 2, 1) if layout == "nct" else values


def with_features_first(x: np.ndarray) -> np.ndarray:
    """Series (N, T, D) as (N, D, T), the layout `nct` of aeon and sktime."""
    return np.ascontiguousarray(x.transpose(0, 2, 1))


def check_lengths(length: np.ndarray, x: np.ndarray, where: str) -> np.ndarray:
    """Steps (N,) of the series x (N, T, D), as int64.

    Raises:
        UserError: they are not one whole number from 1 to T for every series.
    """
    if (
        length.shape != (len(x),)
        or length.dtype.kind not in "iuf"
        or not ((length >= 1) & (length <= x.shape[1]) & (length == np.floor(length))).all()
    ):
        raise UserError(f"{where}: length must be {len(x)} whole numbers from 1 to {x.shape[1]}, one for each series")
    return length.astype(np.int64)

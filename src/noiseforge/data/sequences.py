"""Sources of sequences: which they are, how each is read, and how series become a training and a test set."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from noiseforge.data.cells import frame_cells, read_delimited, read_parquet
from noiseforge.data.columns import CHUNK, to_features
from noiseforge.data.recorded import Layout, Recorded, Scaling, Scan, SeriesSettings
from noiseforge.data.scaling import scaled
from noiseforge.data.scan import read_sines
from noiseforge.data.series import Series
from noiseforge.data.series_arrays import read_series_arrays
from noiseforge.data.spec import Data, Spec
from noiseforge.data.split import subset_per_class
from noiseforge.data.tables import long_table, wide_table
from noiseforge.data.ts_file import read_ts
from noiseforge.data.windows import Windows, cut_windows, split_windows
from noiseforge.errors import UserError, unknown

SINES, DIGIT_ROWS = "sines", "digit-rows"

TABLES = (".csv", ".tsv", ".parquet")

FRAME = "a data frame"
"""The source of series that came as one."""


def is_frame(source: object) -> bool:
    """It is a pandas data frame. pandas is not imported to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(source, pandas.DataFrame)


def source_name(source: object) -> str:
    """What a source is called in a Spec and in messages."""
    return FRAME if is_frame(source) else str(source)


def check_series_settings(settings: SeriesSettings) -> None:
    """Refuses settings that no source could have.

    Raises:
        UserError: which it is, and what is known.
    """
    for name, least in (("window", 2), ("stride", 1)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UserError(f"{name} must be at least {least} step{'s' * (least > 1)}, got {value}")
    for name, kinds in (("layout", Layout), ("scaling", Scaling), ("scan", Scan)):
        value = getattr(settings, name)
        if value is not None and value not in get_args(kinds):
            raise unknown(name, value, get_args(kinds))


def holds_series(source: object, settings: SeriesSettings) -> bool:
    """Whether a source is one of sequences, as far as its name, the settings and a manifest's header tell."""
    if is_frame(source) or str(source) in (SINES, DIGIT_ROWS) or settings.scan is not None:
        return True
    path = Path(str(source)).expanduser()
    if path.suffix.lower() in (".npy", ".npz"):
        return settings.layout is not None and path.is_file()
    return path.suffix.lower() in (*TABLES, ".ts") and path.is_file()


def read_series(source: Any, settings: SeriesSettings, *, seed: int) -> Recorded:
    """The series of a source that `holds_series`, but for pictures.

    Raises:
        UserError: it cannot be read, or does not hold what it should.
    """
    where = source_name(source)
    if where == SINES:
        _refuse(settings, SINES, "layout", "id_column", "time_column", "label_column", "stride")
        return read_sines(steps=settings.window, seed=seed)
    path = Path(where).expanduser()
    ending = "" if is_frame(source) else path.suffix.lower()
    if ending in (".npy", ".npz", ".ts"):
        _refuse(settings, where, "id_column", "time_column", "label_column")
    if ending in (".npy", ".npz"):
        return read_series_arrays(path, settings)
    if ending == ".ts":
        _refuse(settings, where, "layout")
        return read_ts(path)
    if settings.layout not in (None, "wide"):
        raise UserError(f"layout={settings.layout} is for arrays, and {where} is a table: leave it out, or take wide")
    cells = (
        frame_cells(source, where)
        if is_frame(source)
        else read_parquet(path)
        if ending == ".parquet"
        else read_delimited(path)
    )
    return (wide_table if settings.layout == "wide" else long_table)(cells, settings, where)


def sequence_data(
    recorded: Recorded,
    settings: SeriesSettings,
    *,
    source: str,
    split: str | None,
    test_fraction: float,
    labels_per_class: int | None,
    seed: int,
) -> Data:
    """Series cut into windows, split, and scaled by the training part."""
    window = None if source == SINES else settings.window
    windows = cut_windows(recorded, window=window, stride=settings.stride, source=source)
    sides = split_windows(recorded, windows, split, fraction=test_fraction, seed=seed, source=source)
    labels = None if recorded.labels is None else recorded.labels[torch.from_numpy(windows.series)]
    kept = sides.kept
    if labels_per_class is not None:
        if labels is None:
            raise UserError(f"labels_per_class needs labels, and {source} has none; leave it out")
        kept = kept[subset_per_class(labels[kept], labels_per_class, classes=recorded.classes, seed=seed)]
    if settings.scaling is not None:
        recorded = recorded._replace(bounds=None)
    scaling = settings.scaling or "minmax"
    training = windows.covered(kept, len(recorded.values))
    found = scaled(recorded, training, scaling, source)
    values = recorded.values if len(found.places) == len(recorded.columns) else recorded.values[:, found.places]
    steps = to_features(values, found.columns)
    lengths = torch.from_numpy(windows.lengths)
    longest = int(lengths[kept].max())
    ended = int((lengths[sides.held] > longest).sum())
    told = (f"test series that end where the longest training series does: {ended}",) if ended else ()
    spec = Spec(
        source=source,
        modality="sequence",
        shape=(longest, steps.shape[1]),
        classes=recorded.classes,
        columns=found.columns,
        table=recorded.table,
        value_range=(0.0, 1.0) if scaling == "minmax" else None,
        fingerprint=_fingerprint(steps, training, windows, kept, labels),
    )
    everything = Series(steps, torch.from_numpy(windows.starts), lengths.clamp(max=longest), labels, spec)
    problems = (*recorded.problems, *windows.problems, *sides.problems, *told, *found.problems)
    return Data(everything.subset(kept), everything.subset(sides.held), spec, problems)


def _refuse(settings: SeriesSettings, source: str, *names: str) -> None:
    given = next((name for name in names if getattr(settings, name) is not None), None)
    if given is not None:
        raise UserError(f"{source} has no use for {given}={getattr(settings, given)}: leave it out")


def _fingerprint(
    steps: torch.Tensor, training: np.ndarray, windows: Windows, kept: torch.Tensor, labels: torch.Tensor | None
) -> str:
    """Of the training steps, how they are cut, and their labels."""
    content = hashlib.sha256(repr(tuple(steps.shape)).encode())
    for start in range(0, len(steps), CHUNK):
        chosen = torch.from_numpy(training[start : start + CHUNK])
        content.update(steps[start : start + CHUNK][chosen].numpy().tobytes())
    for cut in (windows.starts, windows.lengths):
        content.update(cut[kept.numpy()].tobytes())
    if labels is not None:
        content.update(labels[kept].numpy().tobytes())
    return content.hexdigest()

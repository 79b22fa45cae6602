"""Sequences on the disk, in the units of the source."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from noiseforge.data.columns import to_source
from noiseforge.data.frames import cell_texts, source_columns, to_frame
from noiseforge.data.pictures import show
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.files import replacing


def save_csv(path: Path, samples: Samples, spec: Spec) -> None:
    """The table of the source, as text."""
    cells = cell_texts(source_columns(samples, spec), spec)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(cells)
        writer.writerows(zip(*cells.values(), strict=True))


def save_parquet(path: Path, samples: Samples, spec: Spec) -> None:
    """The table of the source.

    Raises:
        UserError: pandas or pyarrow are not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UserError(f"{path} needs pandas and pyarrow: pip install 'noiseforge[frames]'") from error
    with replacing(path) as temporary:
        to_frame(samples, spec).to_parquet(temporary, engine="pyarrow", index=False)


def save_npy(path: Path, samples: Samples, spec: Spec) -> None:
    """float64 (N, T, columns), NaN where missing and after the end."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, source_array(samples, spec))


def save_npz(path: Path, samples: Samples, spec: Spec) -> None:
    """The same as `samples`, with names, lengths and labels."""
    steps = torch.full((len(samples.x),), samples.x.shape[1]) if samples.length is None else samples.length
    arrays = {
        "samples": source_array(samples, spec),
        "columns": np.array([column.name for column in spec.columns]),
        "length": steps.cpu().numpy(),
    }
    if samples.y is not None:
        arrays["labels"] = samples.y.cpu().numpy()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def save_png(path: Path, samples: Samples, spec: Spec) -> None:
    """The series over each other; nothing is drawn after their ends."""
    x = samples.x.detach().float().cpu()
    if samples.length is not None:
        after = torch.arange(x.shape[1]) >= samples.length.cpu()[:, None]
        x = x.masked_fill(after[:, :, None], torch.nan)
    with replacing(path) as temporary:
        show(x, spec).save(temporary, format="PNG")


def source_array(samples: Samples, spec: Spec) -> np.ndarray:
    """float64 (N, T, columns) in source units, of categories their places; NaN is missing, and follows the end."""
    columns = to_source(samples.x, samples.length, spec)
    known = np.zeros(samples.x.shape[:2])
    if samples.length is not None:
        known[np.arange(known.shape[1]) >= samples.length.cpu().numpy()[:, None]] = np.nan
    return np.stack([known + (part[:, None] if part.ndim == 1 else part) for part in columns.values()], 2)


WRITERS: dict[str, Callable[[Path, Samples, Spec], None]] = {
    ".csv": save_csv,
    ".npy": save_npy,
    ".npz": save_npz,
    ".parquet": save_parquet,
    ".png": save_png,
}

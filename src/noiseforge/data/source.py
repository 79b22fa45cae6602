"""`load_data`: the text that names a source becomes a training set, a test set and their Spec."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from noiseforge.data.arrays import read_array_file
from noiseforge.data.builtin import STACKED, mixture, read_digits, read_mixture, read_stacked
from noiseforge.data.examples import Examples, Found
from noiseforge.data.folder import ENDINGS, OnBadFile, read_picture_folder
from noiseforge.data.idx import idx_files, read_idx_folder
from noiseforge.data.image import LARGEST, SMALLEST
from noiseforge.data.spec import Data, Spec
from noiseforge.data.split import stratified, subset_per_class
from noiseforge.errors import UserError, unknown
from noiseforge.files import reading

KNOWN = ("digits", "grid", "ring", "stacked-mnist:FOLDER", "FOLDER", "FILE.npy", "FILE.npz")


def load_data(
    source: str | Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    test_fraction: float = 0.1,
    labels_per_class: int | None = None,
    seed: int = 0,
    on_bad_file: OnBadFile = "error",
) -> Data:
    """Reads a source and splits it.

    Args:
        source: `digits`, `ring`, `grid`, `stacked-mnist:FOLDER`, a folder of IDX files or of pictures, or a
            `.npy` or `.npz` file.
        size: side of the square pictures in pixels, 8 to 256; None keeps the source's own.
        channels: 1 (grey) or 3 (colour); None keeps the source's own.
        test_fraction: share of each class that is held out where the source has no test set.
        labels_per_class: keep so many training examples of each class; None keeps all.
        seed: of the split, of the subset, and of what is drawn.
        on_bad_file: what a picture that cannot be read does: "error" stops, "skip" leaves it out.

    Returns:
        Examples of pictures are (C, H, W) in [-1, 1]; points (D,) have mean about 0 and deviation about 1.

    Raises:
        UserError: the source does not exist, cannot be read or does not hold what it should.

    >>> data = load_data("digits")
    >>> len(data.train), len(data.test), data.spec.shape
    (1618, 179, (1, 8, 8))
    """
    _check_settings(size, channels, test_fraction, labels_per_class, on_bad_file)
    found = _found(str(source), size=size, channels=channels, seed=seed, on_bad_file=on_bad_file)
    kept, held, problems = _split(found, test_fraction=test_fraction, seed=seed, source=str(source))
    if labels_per_class is not None:
        if found.labels is None:
            raise UserError(f"labels_per_class needs labels, and {source} has none; leave it out")
        kept = kept[subset_per_class(found.labels[kept], labels_per_class, classes=found.classes, seed=seed)]
    spec = Spec(
        source=str(source),
        modality=found.modality,
        shape=found.shape,
        classes=found.classes,
        value_range=found.value_range,
        offset=found.offset,
        scale=found.scale,
        fingerprint=_fingerprint(found, kept),
    )
    everything = Examples(found.store, found.rows, found.labels, spec)
    return Data(everything.subset(kept), everything.subset(held), spec, problems)


def _check_settings(
    size: int | None,
    channels: int | None,
    test_fraction: float,
    labels_per_class: int | None,
    on_bad_file: str,
) -> None:
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise UserError(f"size must be from {SMALLEST} to {LARGEST} pixels, got {size}")
    if channels not in (None, 1, 3):
        raise UserError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
    if not 0 < test_fraction < 1:
        raise UserError(f"test_fraction must lie between 0 and 1, got {test_fraction}")
    if labels_per_class is not None and labels_per_class < 1:
        raise UserError(f"labels_per_class must be at least 1, got {labels_per_class}")
    if on_bad_file not in get_args(OnBadFile):
        raise unknown("way to treat bad files", on_bad_file, get_args(OnBadFile))


def _found(source: str, *, size: int | None, channels: int | None, seed: int, on_bad_file: OnBadFile) -> Found:
    drawn_from = mixture(source)
    if drawn_from:
        if size or channels:
            raise UserError(f"{source} holds points: size and channels are for pictures; leave them out")
        return read_mixture(drawn_from, seed=seed)
    if source == "digits":
        return read_digits(size=size, channels=channels)
    if source.startswith(STACKED):
        folder = _existing(source.removeprefix(STACKED))
        return read_stacked(folder, size=size, channels=channels, seed=seed)
    path = _existing(source)
    if path.suffix.lower() in (".npy", ".npz") and path.is_file():
        return read_array_file(path, size=size, channels=channels)
    if path.suffix.lower() in ENDINGS and path.is_file():
        raise UserError(f"{path} is one picture: at least 2 are needed; give the folder that holds them")
    if not path.is_dir():
        raise UserError(f"{path} is neither a folder nor a .npy or .npz file; known: {', '.join(KNOWN)}")
    if idx_files(path):
        return read_idx_folder(path, size=size, channels=channels)
    return read_picture_folder(path, size=size, channels=channels, on_bad_file=on_bad_file)


def _existing(text: str) -> Path:
    if not text:
        raise UserError(f"the data source has an empty path; use one of {', '.join(KNOWN)}")
    path = Path(text).expanduser()
    with reading(path):
        exists = path.exists()
    if exists:
        return path
    if path.name == text and not path.suffix:
        raise UserError(f"{unknown('data source (and no such folder)', text, KNOWN)}; name yours with --data SOURCE")
    raise UserError(f"{text} does not exist; check the path, or use one of {', '.join(KNOWN)}")


def _split(found: Found, *, test_fraction: float, seed: int, source: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Indices of the training and the test examples, and what was wrong."""
    count = len(found.rows)
    if count < 2:
        raise UserError(f"{source} holds {count} examples, at least 2 are needed, to learn and to test")
    if found.train_count is not None:
        indices = torch.arange(count)
        return indices[: found.train_count], indices[found.train_count :], found.problems
    labels = count if found.labels is None else found.labels
    kept, held = stratified(labels, fraction=test_fraction, seed=seed)
    return kept, held, (*found.problems, *_single_members(found))


def _single_members(found: Found) -> tuple[str, ...]:
    if found.labels is None:
        return ()
    counts = torch.bincount(found.labels, minlength=len(found.classes)).tolist()
    alone = [name for name, count in zip(found.classes, counts, strict=True) if count == 1]
    if not alone:
        return ()
    shown = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
    return (f"classes of one example, which is learned from and not tested: {len(alone)}: {shown}",)


def _fingerprint(found: Found, kept: Tensor) -> str:
    content = hashlib.sha256(repr((found.shape, found.offset, found.scale, found.classes)).encode())
    content.update(found.store.digest(found.rows[kept].flatten()))
    if found.labels is not None:
        content.update(found.labels[kept].numpy().tobytes())
    return content.hexdigest()

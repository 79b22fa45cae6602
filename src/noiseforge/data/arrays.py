"""`.npy` and `.npz` files of pictures or points, with or without labels and a test set."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from noiseforge.data.examples import Found, Memory
from noiseforge.data.image import found_images
from noiseforge.data.labels import numbered
from noiseforge.errors import UserError
from noiseforge.files import reading

MOST_COORDINATES = 64
"""Arrays (N, D) up to this D are points; wider ones are taken for pictures that were flattened."""

TOLERANCE = 1e-3
"""By so much of rounding may floats leave [0, 1] or [-1, 1]; they are clamped."""

LAYOUTS = "(N, H, W), (N, C, H, W) or (N, H, W, C) with C 1 or 3, or points (N, D)"

SERIES = "if these are series, give layout=ntc for (N, steps, features) or layout=nct for (N, features, steps)"

KEYS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("x", "y", None, None),
    ("images", "labels", None, None),
    ("samples", "labels", None, None),
)
"""Names in an npz: training examples and labels, test examples and labels. Labels may be missing."""


class Parts(NamedTuple):
    """Arrays as they lie in the file."""

    x: np.ndarray
    y: np.ndarray | None
    train_count: int | None


def read_array_file(path: Path, *, size: int | None, channels: int | None) -> Found:
    """The examples of a `.npy` or `.npz` file.

    Raises:
        UserError: it is corrupt, holds objects or NaN, or its shape, range or labels are not as expected.
    """
    loaded = load_arrays(path)
    parts = Parts(loaded, None, None) if isinstance(loaded, np.ndarray) else parts_of(loaded, path)
    _check_layout(parts.x, path)
    check_values(parts.x, str(path))
    numbers, classes = (None, ()) if parts.y is None else numbered(parts.y, where=str(path))
    if parts.x.ndim == 2:
        if size or channels:
            raise UserError(f"{path} holds points (N, D): size and channels are for pictures; leave them out")
        return _found_points(parts, path)._replace(labels=numbers, classes=classes)
    pictures = _channels_first(parts.x, path)
    _check_sides(pictures, path)
    images, bounds = _values_or_series(pictures, path, axes=parts.x.ndim)
    return found_images(
        torch.from_numpy(images),
        bounds=bounds,
        size=size,
        channels=channels,
        labels=numbers,
        classes=classes,
        train_count=parts.train_count,
    )


def load_arrays(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """The array of a `.npy` file, or those of a `.npz` file by their names; never objects.

    Raises:
        UserError: it cannot be read, is corrupt, or holds objects.
    """
    try:
        with reading(path):
            if path.stat().st_size == 0:
                raise UserError(f"{path} is empty (0 bytes); write it again")
            loaded = np.load(path)  # which refuses arrays of objects
            if isinstance(loaded, np.ndarray):
                return loaded
            with loaded:
                return {key: loaded[key] for key in loaded.files}
    except UserError:
        raise
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        if "Object arrays" in str(error):
            raise UserError(
                f"{path} holds Python objects, which are never loaded; save numbers of one type and shape"
            ) from error
        raise UserError(f"{path} is truncated or corrupt ({error}); write it again") from error


def parts_of(arrays: dict[str, np.ndarray], path: Path) -> Parts:
    """The examples and labels of an npz, by the names that arrays go by.

    Raises:
        UserError: there are no such names, or labels or a test set do not fit.
    """
    names = next((keys for keys in KEYS if keys[0] in arrays), None)
    if names is None:
        raise UserError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected x[, y], "
            f"x_train[, y_train], x_test[, y_test], images[, labels] or samples[, labels]"
        )
    x, y, x_test, y_test = names
    train, labels = arrays[x], arrays.get(y)
    _check_count(train, labels, f"{path} ({x}, {y})")
    if x_test is None or x_test not in arrays:
        return Parts(train, labels, None)
    test, test_labels = arrays[x_test], arrays.get(y_test) if y_test else None
    _check_count(test, test_labels, f"{path} ({x_test}, {y_test})")
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise UserError(
            f"{path}: {x} is {train.dtype} {train.shape} and {x_test} is {test.dtype} {test.shape}; "
            f"they must agree but for the first axis"
        )
    if (labels is None) != (test_labels is None):
        raise UserError(f"{path} has one of {y} and {y_test} alone; add the other, or leave both out")
    both = None if labels is None or test_labels is None else np.concatenate([labels, test_labels])
    return Parts(np.concatenate([train, test]), both, len(train))


def _check_count(x: np.ndarray, y: np.ndarray | None, where: str) -> None:
    if x.ndim < 1 or (y is not None and (y.ndim < 1 or len(x) != len(y))):
        counts = f"{x.shape} for the examples, {None if y is None else y.shape} for the labels"
        raise UserError(f"{where}: shapes {counts}; expected as many labels as examples")


def check_values(x: np.ndarray, where: str) -> None:
    """Refuses values (N, ...) that are no numbers, or not finite.

    Raises:
        UserError: of which type they are, or how many examples are broken and which is the first.
    """
    if x.dtype.kind not in "biuf":
        raise UserError(f"{where} holds values of type {x.dtype}; expected uint8 or floats")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        wrong = np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))
        raise UserError(
            f"{where} holds NaN or infinite values in {len(wrong)} of {len(x)} examples, the first at index "
            f"{wrong[0]}; mend or remove them"
        )


def _check_layout(x: np.ndarray, path: Path) -> None:
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise UserError(f"{path} has shape {x.shape}; expected {LAYOUTS}, and none of them 0")


def _channels_first(x: np.ndarray, path: Path) -> np.ndarray:
    if x.ndim == 3:
        return x[:, None]
    first, last = x.shape[1] in (1, 3), x.shape[3] in (1, 3)
    if first == last:
        reason = "axis 1 and axis 3 could both be channels" if first else "no axis has 1 or 3 channels"
        raise UserError(f"{path} has shape {x.shape}: {reason}; expected {LAYOUTS}")
    return x if first else np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _check_sides(x: np.ndarray, path: Path) -> None:
    """Refuses what can be no pictures: clips of sound (N, 1, T), as they are saved, look like pictures of one row."""
    if 1 in x.shape[2:]:
        raise UserError(
            f"{path} has shape {x.shape}: the sides of pictures must be above 1; "
            f"sound to train on is read from folders of recordings; {SERIES}"
        )


def _values_or_series(x: np.ndarray, path: Path, *, axes: int) -> tuple[np.ndarray, tuple[float, float]]:
    """`picture_values`, whose error tells of series where the array has their axes."""
    try:
        return picture_values(x, str(path))
    except UserError as error:
        if axes != 3:
            raise
        raise UserError(f"{error}; {SERIES}") from error


def picture_values(x: np.ndarray, where: str) -> tuple[np.ndarray, tuple[float, float]]:
    """The values of pictures as uint8 or float32, and the values of black and white.

    Whole numbers are 0 to 255; floats -1 to 1, or where none is negative 0 to 1.

    Raises:
        UserError: the values lie elsewhere.

    >>> picture_values(np.array([0.0, 0.5]), "x")[1], picture_values(np.array([-0.5, 0.5]), "x")[1]
    ((0.0, 1.0), (-1.0, 1.0))
    """
    low, high = float(x.min()), float(x.max())
    if x.dtype.kind in "iu" and low >= 0 and high <= 255:
        return x.astype(np.uint8), (0.0, 255.0)
    if x.dtype.kind in "bf" and low >= -1 - TOLERANCE and high <= 1 + TOLERANCE:
        bounds = (0.0, 1.0) if low >= -TOLERANCE else (-1.0, 1.0)
        return x.astype(np.float32).clip(*bounds), bounds
    raise UserError(
        f"{where} holds {x.dtype} values from {low:g} to {high:g}; expected whole numbers 0..255, "
        f"floats 0..1 or floats -1..1: rescale them"
    )


def _found_points(parts: Parts, path: Path) -> Found:
    count, coordinates = parts.x.shape
    if coordinates > MOST_COORDINATES:
        raise UserError(
            f"{path} has shape {parts.x.shape}: points have at most {MOST_COORDINATES} coordinates; "
            f"if these are flattened pictures, reshape them to (N, H, W)"
        )
    train = parts.x[: parts.train_count or count].astype(np.float64)
    deviation = float(train.std())
    if deviation == 0:
        raise UserError(f"{path}: all values are {train.flat[0]:g}; nothing to learn; check the file")
    return Found(
        Memory(torch.from_numpy(parts.x.astype(np.float32))),
        torch.arange(count)[:, None],
        (coordinates,),
        modality="point",
        value_range=None,
        offset=float(train.mean()),
        scale=deviation,
        train_count=parts.train_count,
    )

"""Reads samples that were made elsewhere, or saved by `save_samples`, in the units of a model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.arrays import check_values, picture_values, read_array_file
from noiseforge.data.examples import Examples, Found
from noiseforge.data.folder import OnBadFile, read_picture_folder
from noiseforge.data.spec import Spec
from noiseforge.errors import UserError

log = logging.getLogger(__name__)


class Samples(NamedTuple):
    """x (N, *spec.shape) in model units; y (N,) int64 in the order of spec.classes, or None."""

    x: Tensor
    y: Tensor | None = None


def read_samples(source: str | Path, spec: Spec, *, on_bad_file: OnBadFile = "error") -> Samples:
    """A folder of pictures, a `.npy` or a `.npz`, brought to the size and channels of the real data.

    Labels are sub-folders with the names of the real classes, or the array `labels` with their indices.

    Raises:
        UserError: there is no such file, it cannot be read, or its points have another number of coordinates.
    """
    path = Path(source).expanduser()
    image = spec.modality == "image"
    size, channels = (spec.shape[-1], spec.shape[0]) if image else (None, None)
    if path.suffix.lower() in {".npy", ".npz"} and path.is_file():
        found = read_array_file(path, size=size, channels=channels)
    elif path.is_dir() and image:
        found = read_picture_folder(path, size=size, channels=channels, on_bad_file=on_bad_file)
    else:
        kinds = "a run, a folder of pictures, .npy or .npz" if image else "a run, .npy or .npz"
        raise UserError(f"{path} holds no samples of {spec.source}: expected {kinds}")
    if found.shape != spec.shape:
        raise UserError(f"{path} holds samples of shape {found.shape}, the real data are {spec.shape}")
    scaled = {"offset": found.offset, "scale": found.scale} if image else {}
    examples = Examples(found.store, found.rows, None, spec.model_copy(update=scaled))
    return Samples(examples.batch(torch.arange(len(examples))).x, _labels(found, spec, path))


def as_samples(array: np.ndarray | Tensor, spec: Spec) -> Samples:
    """An array (N, *spec.shape) of pictures, their values as in a file of pictures, or of points in source units.

    Raises:
        UserError: another shape, values that are not finite, or pictures out of range.
    """
    values = _numpy(array)
    if values.ndim < 2 or len(values) == 0 or tuple(values.shape[1:]) != spec.shape:
        raise UserError(f"samples must have shape (N, {', '.join(map(str, spec.shape))}), got {tuple(values.shape)}")
    check_values(values, "the array of samples")
    offset, scale = spec.offset, spec.scale
    if spec.modality == "image":
        values, (low, high) = picture_values(values, "the array of samples")
        offset, scale = (low + high) / 2, (high - low) / 2
    return Samples((torch.from_numpy(np.array(values, np.float32)) - offset) / scale)


def _numpy(array: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(array, np.ndarray):
        return array
    tensor = array.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # NumPy has no bfloat16


def _labels(found: Found, spec: Spec, path: Path) -> Tensor | None:
    """The labels as indices of the real classes; None, with a warning, where their names are not classes."""
    if found.labels is None or not spec.classes:
        return None
    known: dict[str, Any] = {name: index for index, name in enumerate(spec.classes)}
    if path.is_file():
        known = {str(index): index for index in range(len(spec.classes))} | known
    strange = [name for name in found.classes if name not in known]
    if strange:
        log.warning("%s: labels are left out, as %r is no class of %s", path, strange[0], spec.source)
        return None
    return torch.tensor([known[name] for name in found.classes])[found.labels]

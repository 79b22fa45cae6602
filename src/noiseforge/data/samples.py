"""Reads samples that were made elsewhere, or saved by `save_samples`, in the units of a model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.arrays import TOLERANCE, check_values, load_arrays, picture_values, read_array_file
from noiseforge.data.audio import SoundSettings, list_takes, read_recordings
from noiseforge.data.clips import Clips
from noiseforge.data.decode_audio import as_fractions
from noiseforge.data.examples import Examples, Found
from noiseforge.data.folder import read_picture_folder
from noiseforge.data.labels import file_name, folder_name
from noiseforge.data.level import Level
from noiseforge.data.listing import OnBadFile
from noiseforge.data.spec import Spec
from noiseforge.data.takes import DIGIT_PATTERN, Take, name_pattern, named
from noiseforge.errors import UserError

log = logging.getLogger(__name__)


class Samples(NamedTuple):
    """x (N, *spec.shape) in model units; y (N,) int64 in the order of spec.classes, or None.

    Of sound also the true lengths (N,) in samples, after which x is padding, and the speakers (N,) int64. Of sequences
    the lengths in steps, after which x is 0; NaN before them is missing.
    """

    x: Tensor
    y: Tensor | None = None
    length: Tensor | None = None
    speaker: Tensor | None = None


def read_samples(
    source: str | Path, spec: Spec, *, level: Level | None = None, on_bad_file: OnBadFile = "error"
) -> Samples:
    """A folder of pictures or of sound, a `.npy` or a `.npz`, brought to the size, channels or rate of the real data.

    Sequences are a table (`.csv`, `.parquet`), `.npy` or `.npz` in source units, as `save_samples` gives them.

    Labels are sub-folders with the names of the real classes, or the array `labels` with their indices. Speakers are
    in the names of the files, as `save_samples` gives them, or the array `speakers`. Sound in a folder is brought to
    `level`, which is that of `load_data`; in an array it stays as it is. Clips longer than the longest real one end
    where that does.

    Raises:
        UserError: there is no such file, it cannot be read, or its points have another number of coordinates.
    """
    path = Path(source).expanduser()
    if spec.modality == "audio":
        return _read_sound(path, spec, level, on_bad_file)
    if spec.modality == "sequence":
        from noiseforge.data.series_samples import read_series_samples

        return read_series_samples(path, spec)
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


def relabelled(samples: Samples, own: Spec, real: Spec) -> Samples:
    """Samples of one set of data as samples of another: labels and speakers by name, or left out with a warning."""
    found = []
    for which, kind in ((samples.y, "classes"), (samples.speaker, "speakers")):
        ours, theirs = getattr(own, kind), getattr(real, kind)
        if which is None or ours == theirs:
            found.append(which)
            continue
        names = [ours[index] for index in which.tolist()]
        found.append(_places(names, theirs, own.source, {"classes": "class", "speakers": "speaker"}[kind], real))
    return samples._replace(y=found[0], speaker=found[1])


def as_samples(array: np.ndarray | Tensor, spec: Spec) -> Samples:
    """An array (N, *spec.shape) of pictures, their values as in a file of pictures, or of points in source units.

    Sound is (N, 1, T) or (N, T) of any T, floats in [-1, 1] or int16, and all of it counts as sound. Sequences are
    (N, any T, columns) in source units, of categories their places; NaN is missing, and ends a series at its end.

    Raises:
        UserError: another shape, values that are not finite, or pictures out of range.
    """
    values = _numpy(array)
    if spec.modality == "sequence":
        from noiseforge.data.series_samples import series_of_array

        return series_of_array(values, spec, "the array of samples")
    if spec.modality == "audio":
        return _sound_arrays({"samples": values}, spec, "the array of samples")
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


def _read_sound(path: Path, spec: Spec, level: Level | None, on_bad_file: OnBadFile) -> Samples:
    if path.suffix.lower() in {".npy", ".npz"} and path.is_file():
        loaded = load_arrays(path)
        return _sound_arrays({"samples": loaded} if isinstance(loaded, np.ndarray) else loaded, spec, str(path))
    if not path.is_dir():
        raise UserError(f"{path} holds no samples of {spec.source}: expected a run, a folder of sound, .npy or .npz")
    listing = list_takes(path, None, on_bad_file)
    listing = listing._replace(takes=_with_speakers(listing.takes, spec))
    settings = SoundSettings(sample_rate=spec.sample_rate, level=level)
    read = read_recordings(path, listing, settings, on_bad_file, silence=True)
    takes = [read.listing.takes[index] for index in read.table.take.tolist()]
    everything = torch.arange(len(takes))
    batch = Clips(read.store, read.table, everything, spec, takes).batch(everything)
    assert batch.length is not None
    y = _places([take.label for take in takes], spec.classes, path, "class", spec)
    speaker = _places([take.speaker for take in takes], spec.speakers, path, "speaker", spec)
    return _fitted(batch.x, batch.length, spec)._replace(y=y, speaker=speaker)


def _with_speakers(takes: list[Take], spec: Spec) -> list[Take]:
    """Recordings with the labels and speakers that `save_samples` has written into their names, if it has."""
    speakers, classes = _known(spec.speakers), _known(spec.classes)
    for text in (DIGIT_PATTERN, "{speaker}_{index}"):
        fitting = [named(take, name_pattern(text)) for take in takes]
        good = [take for take in fitting if take is not None and take.speaker in speakers]
        if len(good) == len(takes) and all(take.label is None or take.label in classes for take in good):
            return [take._replace(label=take.label or old.label) for take, old in zip(good, takes, strict=True)]
    return takes


def _known(names: tuple[str, ...]) -> dict[str | None, int]:
    """The place of every name, also as it stands in the names of files and folders."""
    places: dict[str | None, int] = {}
    for form in (file_name, folder_name, str):
        places |= {form(name): place for place, name in enumerate(names)}
    return places


def _places(given: list[str | None], names: tuple[str, ...], path: str | Path, what: str, spec: Spec) -> Tensor | None:
    known = _known(names)
    if not names or None in given:
        return None
    strange = [name for name in given if name not in known]
    if strange:
        kinds = {"class": "labels", "speaker": "speakers"}[what]
        log.warning("%s: %s are left out, as %r is no %s of %s", path, kinds, strange[0], what, spec.source)
        return None
    return torch.tensor([known[name] for name in given])


def _sound_arrays(arrays: dict[str, np.ndarray], spec: Spec, where: str) -> Samples:
    values = arrays.get("samples", arrays.get("x"))
    if values is None or len(values) == 0 or not (values.ndim == 2 or (values.ndim == 3 and values.shape[1] == 1)):
        found = "no array 'samples'" if values is None else f"shape {tuple(values.shape)}"
        raise UserError(f"{where} has {found}: samples of sound must have shape (N, 1, T) or (N, T)")
    check_values(values, where)
    values = as_fractions(values).reshape(len(values), 1, -1)
    if float(np.abs(values).max()) > 1 + TOLERANCE:
        raise UserError(f"{where} holds values up to {np.abs(values).max():g}: expected int16, or floats -1..1")
    length = _whole_numbers(arrays.get("length"), len(values), values.shape[2] + 1, where, "length")
    x = torch.from_numpy(np.array(values, np.float32)).clamp(-1, 1)
    whole = torch.full((len(x),), x.shape[2]) if length is None else length
    return _fitted(x * (torch.arange(x.shape[2]) < whole[:, None, None]), whole, spec)._replace(
        y=_whole_numbers(arrays.get("labels"), len(x), len(spec.classes), where, "labels"),
        speaker=_whole_numbers(arrays.get("speakers"), len(x), len(spec.speakers), where, "speakers"),
    )


def _whole_numbers(array: np.ndarray | None, count: int, below: int, where: str, name: str) -> Tensor | None:
    """The array (N,) of a file as int64, if it is there and the real data have such a thing."""
    if array is None or below == 0:
        return None
    if array.shape != (count,) or array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= below:
        raise UserError(f"{where}: {name} must be {count} whole numbers from 0 to {below - 1}")
    return torch.from_numpy(array.astype(np.int64))


def _fitted(x: Tensor, length: Tensor, spec: Spec) -> Samples:
    """Clips (N, 1, any) cut or padded to the length of the real data."""
    longest = spec.shape[-1]
    cut = int((length > longest).sum())
    if cut:
        log.warning("%d samples end after %d, where the longest real clip does", cut, longest)
    x = torch.nn.functional.pad(x[..., :longest], (0, max(longest - x.shape[-1], 0)))
    return Samples(x, length=length.clamp(max=longest))

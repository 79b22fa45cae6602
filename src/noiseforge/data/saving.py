"""Samples on the disk, in the form that a path's ending names. What is there stays, unless it may be replaced."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from noiseforge.data import series_saving, sounds
from noiseforge.data.labels import folder_name
from noiseforge.data.pictures import as_picture, in_source_units, save_gif, show, to_uint8
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.files import replacing

MARK = ("Software", "noiseforge")
"""A line of text in every picture of a folder of samples, by which the folder is known again."""


def save_samples(
    path: str | Path,
    x: Tensor,
    spec: Spec,
    labels: Tensor | None = None,
    *,
    length: Tensor | None = None,
    speaker: Tensor | None = None,
    overwrite: bool = False,
) -> None:
    """Saves samples in model units (N, *spec.shape), in the form that the path's ending names.

    | ending | content |
    |---|---|
    | `.png` | one grid of images, or a scatter plot of points |
    | `.gif` | images as frames |
    | `.npy` | float32: images (N, C, H, W) in [-1, 1], points (N, D) in source units |
    | `.npz` | the same as `samples`, and `labels` (N,) int64 where they are given |
    | `.csv` | points in source units, one a line, with the name of the label where labels are given |
    | none, or `/` | a folder of `00000.png`, ...; in sub-folders by class where labels are given |

    Sound (N, 1, T), of which `length` (N,) samples each are no padding, by the speakers (N,) where they are given:

    | ending | content |
    |---|---|
    | `.wav` | one file of 16 bits; several clips one after the other with 0.25 s of silence between |
    | `.npy` | float32 (N, 1, T) in [-1, 1] |
    | `.npz` | the same as `samples`, and `length`, `labels` and `speakers` where they are given |
    | none, or `/` | a folder of `00000.wav`, or with speakers `SPEAKER_00000.wav`, ... |

    Where labels are given the folder has sub-folders by class, and with speakers names `LABEL_SPEAKER_00000.wav`.

    Sequences (N, T, D), of which `length` (N,) steps each are no padding, all in the units of the source:

    | ending | content |
    |---|---|
    | `.csv`, `.parquet` | the table of the source, with a row for every step, and its id, time and label |
    | `.npy` | float64 (N, T, columns), of categories their places; NaN is missing, and follows the end |
    | `.npz` | the same as `samples`, `columns` with their names, `length`, and `labels` where they are given |
    | `.png` | one picture of the series over each other |

    With `overwrite` a file, or a folder of samples that was saved so, is replaced once the new one is complete.

    Raises:
        UserError: as `check_target`, or it cannot be written.
    """
    check_target(path, spec, overwrite=overwrite)
    if spec.modality == "audio":
        _save_sound(path, Samples(x, labels, length, speaker), spec)
        return
    if spec.modality == "sequence":
        series_saving.WRITERS[Path(path).suffix.lower()](Path(path), Samples(x, labels, length), spec)
        return
    write = _save_folder if _is_folder(path) else WRITERS[Path(path).suffix.lower()]
    write(Path(path), x, spec, labels)


def check_target(path: str | Path, spec: Spec, *, overwrite: bool = False) -> None:
    """Refuses, before the work is done and without a change, what `save_samples` would not write.

    Raises:
        UserError: something is there that may not be replaced; the ending is unknown or does not suit the data.
    """
    target, ending = Path(path), Path(path).suffix.lower()
    check_place(target, overwrite=overwrite)
    if _is_folder(path):
        if not target.name or (target.exists() and not target.is_dir()):
            raise UserError(f"{path}: expected the name of a folder of samples to write: choose another --out")
    elif ending not in (known := _endings(spec)):
        what = {"audio": "sound", "sequence": "sequences"}.get(spec.modality, "samples")
        folder = "" if spec.modality == "sequence" else ", or a folder, written with / at its end"
        raise UserError(f"{what} cannot be saved as {ending!r} ({target}); use {', '.join(sorted(known))}{folder}")
    if spec.modality == "sequence" and _is_folder(path):
        raise UserError(f"{path}: sequences are saved as {', '.join(sorted(series_saving.WRITERS))}")
    if spec.modality == "point" and (_is_folder(path) or ending == ".gif"):
        raise UserError(f"{path}: points are saved as .csv, .npy, .npz or as a .png plot")
    if spec.modality == "image" and ending == ".csv":
        raise UserError(f"{path}: .csv is for points; save images as .png, .npy, .npz or into a folder")


def _endings(spec: Spec) -> Iterable[str]:
    return {"audio": sounds.WRITERS, "sequence": series_saving.WRITERS}.get(spec.modality, WRITERS)


def check_pairs(path: str | Path, spec: Spec, *, overwrite: bool = False) -> None:
    """Refuses, before the work is done, what `save_pairs` would not write.

    Raises:
        UserError: as `check_target`, or the name is neither that of a folder nor ends in .wav.
    """
    check_target(path, spec, overwrite=overwrite)
    if not _is_folder(path) and Path(path).suffix.lower() != ".wav":
        raise UserError(f"{path}: expected a folder, written with / at its end, or a name that ends in .wav")


def save_pairs(path: str | Path, real: Samples, made: Samples, spec: Spec, *, overwrite: bool = False) -> None:
    """Saves clips beside what was made of them: a folder of `00000_real.wav`, `00000_made.wav`, ..., or one WAV.

    Raises:
        UserError: as `check_pairs`, or it cannot be written.
    """
    check_pairs(path, spec, overwrite=overwrite)
    if _is_folder(path):
        sounds.save_pairs(Path(path), real, made, spec)
        return
    x = torch.stack([real.x, made.x], 1).flatten(0, 1)
    length = None if real.length is None else real.length.repeat_interleave(2)
    sounds.save_wav(Path(path), Samples(x, length=length), spec)


def check_picture(path: Path, *, overwrite: bool) -> None:
    """Refuses, before the work is done, a path that `save_picture` would not write.

    Raises:
        UserError: something is there that may not be replaced, or the name does not end in .png.
    """
    check_place(path, overwrite=overwrite)
    if path.suffix.lower() != ".png" or path.is_dir():
        kind = "a folder" if path.is_dir() else path.suffix or "no ending"
        raise UserError(f"{path}: expected a picture's name that ends in .png, got {kind}")


def save_picture(path: Path, picture: Image) -> None:
    """Writes a PNG, whole or not at all."""
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def check_place(path: Path, *, overwrite: bool) -> None:
    """Refuses to write over what is there; with `overwrite`, over a folder of anything but saved samples.

    Raises:
        UserError: something is there, and what it is.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise UserError(f"{path} exists: choose another --out, or replace it with --overwrite")
    if path.is_dir() and (foreign := _foreign(path)):
        raise UserError(f"{path} is kept, as it holds more than saved samples ({foreign.name}): choose another --out")


def _is_folder(path: str | Path) -> bool:
    return str(path).endswith("/") or not Path(path).suffix or Path(path).is_dir()


def _foreign(folder: Path) -> Path | None:
    """Something in a folder that `save_samples` has not written; None where all is its own."""
    inside = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return folder if folder.is_symlink() else next((path for path in inside if not _marked(path)), None)


def _marked(path: Path) -> bool:
    if path.suffix.lower() == ".wav":
        return sounds.marked(path)
    from PIL import Image as images

    from noiseforge.data.decode import BROKEN

    try:
        with images.open(path, formats=["PNG"]) as picture:
            return not path.is_symlink() and picture.info.get(MARK[0]) == MARK[1]
    except BROKEN:
        return False


def _save_sound(path: str | Path, samples: Samples, spec: Spec) -> None:
    if _is_folder(path):
        sounds.save_folder(Path(path), samples, spec)
    else:
        sounds.WRITERS[Path(path).suffix.lower()](Path(path), samples, spec)


def _save_folder(path: Path, x: Tensor, spec: Spec, labels: Tensor | None) -> None:
    from PIL.PngImagePlugin import PngInfo

    mark = PngInfo()
    mark.add_text(*MARK)
    with replacing(path) as temporary:
        for index, pixels in enumerate(to_uint8(x)):
            folder = temporary if labels is None else temporary / folder_name(spec.classes[int(labels[index])])
            folder.mkdir(parents=True, exist_ok=True)
            as_picture(pixels).save(folder / f"{index:05d}.png", pnginfo=mark)


def _save_png(path: Path, x: Tensor, spec: Spec, labels: Tensor | None) -> None:
    with replacing(path) as temporary:
        show(x, spec).save(temporary, format="PNG")


def _save_gif(path: Path, x: Tensor, spec: Spec, labels: Tensor | None) -> None:
    save_gif(path, x)


def _save_npy(path: Path, x: Tensor, spec: Spec, labels: Tensor | None) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, _array(x, spec))


def _save_npz(path: Path, x: Tensor, spec: Spec, labels: Tensor | None) -> None:
    arrays = {"samples": _array(x, spec)}
    if labels is not None:
        arrays["labels"] = labels.cpu().numpy()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _save_csv(path: Path, x: Tensor, spec: Spec, labels: Tensor | None) -> None:
    rows = in_source_units(x, spec).tolist()
    names = [] if labels is None else [spec.classes[label] for label in labels.tolist()]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([f"x{axis}" for axis in range(x.shape[1])] + ["label"] * bool(names))
        writer.writerows([*row, names[index]] if names else row for index, row in enumerate(rows))


def _array(x: Tensor, spec: Spec) -> np.ndarray:
    values = in_source_units(x, spec) if spec.modality == "point" else x.detach().float().cpu()
    return values.numpy()


WRITERS: dict[str, Callable[[Path, Tensor, Spec, Tensor | None], None]] = {
    ".png": _save_png,
    ".gif": _save_gif,
    ".npy": _save_npy,
    ".npz": _save_npz,
    ".csv": _save_csv,
}

"""Folders of IDX files, the format of MNIST and Fashion-MNIST."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from noiseforge.data.examples import Found
from noiseforge.data.image import found_images
from noiseforge.data.labels import numbered
from noiseforge.errors import UserError
from noiseforge.files import reading

NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


def idx_files(folder: Path) -> dict[str, Path]:
    """The IDX files of a folder by what they hold: `train images`, `test labels`, ...; often none."""
    with reading(folder):
        names = sorted(folder.iterdir(), reverse=True)  # a file that is already unpacked wins over its .gz
    files = {}
    for path in names:
        match = NAME.fullmatch(path.name)
        if match:
            part = "train" if match[1] == "train" else "test"
            files[f"{part} {match[2]}"] = path
    return files


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """One IDX file of unsigned bytes, packed with gzip or not, as a uint8 array of so many dimensions.

    Raises:
        UserError: it cannot be read, is truncated, or is no IDX file of that kind.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with reading(path), opened(path, "rb") as file:
            header = file.read(4 + 4 * dimensions)
            if len(header) >= 4 and header[:4] != bytes((0, 0, 8, dimensions)):
                raise UserError(
                    f"{path} begins with {header[:4].hex()}, expected {bytes((0, 0, 8, dimensions)).hex()}: "
                    f"it is no IDX file of bytes in {dimensions} dimensions; download it again"
                )
            if len(header) < 4 + 4 * dimensions:
                raise UserError(f"{path} is truncated: its header is incomplete; download it again")
            shape = struct.unpack(f">{dimensions}I", header[4:])
            content = file.read()
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path} is truncated or corrupt ({error}); download it again") from error
    expected = int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise UserError(
            f"{path} holds {len(content)} bytes after its header, expected {expected} for {shape}: "
            f"it is truncated or corrupt; download it again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_idx_folder(folder: Path, *, size: int | None, channels: int | None) -> Found:
    """The pictures and labels of a folder of IDX files, with the official split where it has one.

    Raises:
        UserError: the training images are missing, or images and labels do not match.
    """
    files = idx_files(folder)
    if "train images" not in files:
        raise UserError(f"{folder} holds IDX files but no train-images-idx3-ubyte[.gz]; add it")
    parts = [part for part in ("train", "test") if f"{part} images" in files]
    images = [read_idx(files[f"{part} images"], dimensions=3) for part in parts]
    if len({array.shape[1:] for array in images}) > 1:
        raise UserError(f"{folder}: training and test images differ in size, {[a.shape for a in images]}")
    labels = _labels(folder, files, {part: len(array) for part, array in zip(parts, images, strict=True)})
    numbers, classes = (None, ()) if labels is None else numbered(labels, where=str(folder))
    values = torch.from_numpy(np.concatenate(images))[:, None]
    return found_images(
        values,
        bounds=(0.0, 255.0),
        size=size,
        channels=channels,
        labels=numbers,
        classes=classes,
        train_count=len(images[0]) if len(images) == 2 else None,
    )


def _labels(folder: Path, files: dict[str, Path], counts: dict[str, int]) -> np.ndarray | None:
    present = [part for part in counts if f"{part} labels" in files]
    if not present:
        return None
    if len(present) < len(counts):
        raise UserError(f"{folder} has labels for {present[0]} alone; add the other file, or remove this one")
    arrays = [read_idx(files[f"{part} labels"], dimensions=1) for part in counts]
    for array, (part, count) in zip(arrays, counts.items(), strict=True):
        if len(array) != count:
            raise UserError(
                f"{files[f'{part} labels']} holds {len(array)} labels for {count} images; download both files again"
            )
    return np.concatenate(arrays)

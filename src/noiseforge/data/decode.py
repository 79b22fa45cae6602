"""One picture file of any mode becomes a square of 8-bit grey or colour."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from noiseforge.data.listing import BadFile

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes without colour; those with I hold 16 bits."""

DEEPEST = 65535

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on files that are truncated, corrupt or made to harm."""


class Header(NamedTuple):
    """What is known of a picture before it is decoded; sides in pixels."""

    width: int
    height: int
    grey: bool


def read_header(path: Path) -> Header:
    """The size and the kind of a picture.

    Raises:
        BadFile: it is empty, no picture, or too large to be decoded safely.
    """
    try:
        if path.stat().st_size == 0:
            raise BadFile("the file is empty (0 bytes)")
        with Image.open(path) as image:
            return Header(image.width, image.height, image.mode in GREY_MODES)
    except BROKEN as error:
        raise BadFile(_reason(error)) from error


def decode(path: Path, *, side: int, channels: int) -> Tensor:
    """A picture as (channels, side, side) uint8: upright, on white, its centred square, resized with Lanczos.

    Raises:
        BadFile: it is truncated, corrupt, or of a kind that has no 8-bit form.
    """
    try:
        with Image.open(path) as image:
            whole = flattened(ImageOps.exif_transpose(image), channels=channels)
        square = ImageOps.fit(whole, (side, side), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(square).reshape(side, side, channels).transpose(2, 0, 1).copy())
    except BROKEN as error:
        raise BadFile(_reason(error)) from error


def flattened(image: Image.Image, *, channels: int) -> Image.Image:
    """A picture of any mode as `L` (1 channel) or `RGB` (3); what is transparent shows white.

    Grey of 16 bits is divided by 257, so that 65535 becomes 255.

    >>> flattened(Image.new("I;16", (1, 1), 65535), channels=1).getpixel((0, 0))
    255
    """
    if image.mode == "F":
        raise BadFile("pictures of floats have no known range; save them as .npy")
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > DEEPEST:
            raise BadFile(f"grey values from {deep.min()} to {deep.max()} are not 16 bits")
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")  # only through RGB do CMYK, YCbCr and palettes become grey
    return image.convert("L" if channels == 1 else "RGB")


def _reason(error: BaseException) -> str:
    """One line in plain words."""
    if isinstance(error, Image.DecompressionBombError):
        return "it has so many pixels that decoding it is not safe"
    if isinstance(error, UnidentifiedImageError):
        return "it is no picture of a known kind, or its header is broken"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__

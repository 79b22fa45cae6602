"""Pictures inside a page: each its own PNG in the text, so that one file holds all and fits any screen."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from torch import Tensor

from noiseforge.data.pictures import grid, show
from noiseforge.data.spec import Spec

if TYPE_CHECKING:
    from PIL.Image import Image

PHOTOS_IN_ROW = 6
"""Large pictures in a row of a wide page; small ones are 16. page.html holds both."""
PIXELATED = 64
"""Pictures up to this side are shown with sharp pixels; larger ones are smoothed."""
MOST_PIXELS = 800_000
"""Pixels of all pictures of one gallery together, which keeps a page at a few megabytes."""


def gallery(x: Tensor, name: str) -> str:
    """Images (N, C, H, W) in [-1, 1] as tiles that flow with the width of the page."""
    tiles = "".join(f'<img src="{_address(grid(one, pad=0, scale=1))}" alt="">' for one in x.split(1))
    return f'<div class="tiles {_kind(x)}" role="img" aria-label="{escape(name)}">{tiles}</div>'


def pairs(left: Tensor, right: Tensor, names: tuple[str, str] = ("sample", "nearest training example")) -> str:
    """Images (N, C, H, W) beside the images that belong to them, as tiles of two; the names say what each is."""
    tiles = "".join(
        f'<span class="pair"><img src="{_address(grid(a, pad=0, scale=1))}" alt="{escape(names[0])}">'
        f'<img src="{_address(grid(b, pad=0, scale=1))}" alt="{escape(names[1])}"></span>'
        for a, b in zip(left.split(1), right.split(1), strict=True)
    )
    return f'<div class="tiles pairs {_kind(left)}">{tiles}</div>'


def plot(points: Tensor, reference: Tensor, spec: Spec) -> str:
    """Points (N, D) in model units over points of the data, as one picture."""
    return drawn(show(points, spec, reference=reference), "generated points over points of the data")


def drawn(picture: Image, name: str) -> str:
    """A picture as it is: a plot or a map."""
    return f'<img class="plot" src="{_address(picture)}" alt="{escape(name)}">'


def fitting(x: Tensor, most: int) -> int:
    """How many of the images (N, C, H, W) a gallery shows: at most `most`, whole rows of large ones.

    >>> import torch
    >>> fitting(torch.zeros(200, 1, 28, 28), 96), fitting(torch.zeros(200, 3, 256, 256), 96)
    (96, 12)
    """
    room = MOST_PIXELS // (x.shape[-1] * x.shape[-2])
    return min(len(x), most, max(room // PHOTOS_IN_ROW, 1) * PHOTOS_IN_ROW)


def _kind(x: Tensor) -> str:
    return "pixels" if x.shape[-1] <= PIXELATED else "photos"


def _address(picture: Image) -> str:
    """A picture as the address of itself."""
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

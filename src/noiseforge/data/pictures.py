"""How images, points and series are shown."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST_TILE = 56
"""Pixels below which the pictures of a grid are enlarged."""

BACKGROUND = 238
"""Light grey between the pictures of a grid."""

MOST_DRAWN = 10_000
"""Points drawn in a scatter plot, the first ones."""

MODEL_COLOUR, REFERENCE_COLOUR = "#c2410c", "#9ca3af"


def to_uint8(x: Tensor) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] as 8 bits (N, H, W, C): -1 is 0, 1 is 255, rounded and clamped.

    >>> to_uint8(torch.tensor([-2.0, 0.0, 1.0]).reshape(1, 1, 1, 3)).flatten().tolist()
    [0, 128, 255]
    """
    values = x.detach().float().cpu().mul(127.5).add(127.5).round().clamp(0, 255).to(torch.uint8)
    return values.permute(0, 2, 3, 1).numpy()


def as_picture(pixels: np.ndarray) -> Image:
    """8 bits (H, W, C), as `to_uint8` gives them, as a picture."""
    from PIL import Image as images

    return images.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def grid(x: Tensor, columns: int | None = None, pad: int = 2, scale: int | None = None) -> Image:
    """Images (N, C, H, W) in [-1, 1] as one picture, row by row.

    Args:
        x: the images, C 1 or 3.
        columns: images in a row; None makes the grid about square.
        pad: pixels around each image.
        scale: whole factor of enlargement; None makes small images at least 56 pixels wide.
    """
    tiles = _tiles(x, scale)
    columns = min(columns or math.ceil(math.sqrt(len(tiles))), len(tiles))
    rows = math.ceil(len(tiles) / columns)
    height, width, channels = tiles.shape[1:]
    canvas = np.full((rows * (height + pad) + pad, columns * (width + pad) + pad, channels), BACKGROUND, np.uint8)
    for index, tile in enumerate(tiles):
        top = pad + index // columns * (height + pad)
        left = pad + index % columns * (width + pad)
        canvas[top : top + height, left : left + width] = tile
    return as_picture(canvas)


def strip(x: Tensor) -> Image:
    """Images (N, C, H, W) in [-1, 1] in one row."""
    return grid(x, columns=len(x))


def save_gif(path: str | Path, x: Tensor, fps: float = 10.0) -> None:
    """Images (N, C, H, W) in [-1, 1] as the frames of an endless GIF.

    Raises:
        UserError: it cannot be written.
    """
    frames = [as_picture(tile) for tile in _tiles(x, None)]
    with replacing(Path(path)) as temporary:
        frames[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 / fps),
            loop=0,
        )


def scatter(points: Tensor, reference: Tensor | None = None, title: str | None = None) -> Image:
    """Points (N, D) over points of the data in grey, by two coordinates; a histogram where D is 1.

    The first two coordinates are drawn. The axes span the reference where there is one, so that plots of one
    run can be compared.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image as images

    figure = Figure(figsize=(5, 5), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    layers = [(points, MODEL_COLOUR, "generated")]
    if reference is not None:
        layers.insert(0, (reference, REFERENCE_COLOUR, "data"))
    draw = _draw_histogram if points.shape[1] == 1 else _draw_points
    for values, colour, label in layers:
        draw(axes, values[:MOST_DRAWN].detach().float().cpu(), colour, label)
    if points.shape[1] > 1:
        _set_limits(axes, points if reference is None else reference)
    if reference is not None:
        axes.legend(loc="upper right", frameon=False, markerscale=4)
    if title:
        axes.set_title(title)
    canvas.draw()
    return images.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def show(x: Tensor, spec: Spec, **options: Any) -> Image:
    """Samples in model units as a picture: a `grid` of images, a `scatter` of points in source units, lines of series.

    Args:
        x: (N, *spec.shape).
        spec: what the samples are.
        **options: of `grid`, of `scatter` or of `sequence_pictures.plots`; a reference is in model units too.
    """
    if spec.modality == "sequence":
        from noiseforge.data.sequence_pictures import plots

        return plots(x, spec, **options)
    if spec.modality != "point":
        return grid(x, **options)
    if options.get("reference") is not None:
        options["reference"] = in_source_units(options["reference"], spec)
    return scatter(in_source_units(x, spec), **options)


def in_source_units(x: Tensor, spec: Spec) -> Tensor:
    """`offset + scale * x` on the CPU, float32."""
    return x.detach().float().cpu() * spec.scale + spec.offset


def _tiles(x: Tensor, scale: int | None) -> np.ndarray:
    """(N, C, H, W) in [-1, 1] as enlarged 8-bit tiles (N, H, W, C)."""
    if x.ndim != 4 or len(x) == 0 or x.shape[1] not in (1, 3):
        raise UserError(f"images of shape (N, 1 or 3, H, W) can be shown, got {tuple(x.shape)}")
    factor = scale or math.ceil(SMALLEST_TILE / x.shape[3])
    return to_uint8(x).repeat(factor, axis=1).repeat(factor, axis=2)


def _draw_points(axes: Any, values: Tensor, colour: str, label: str) -> None:
    axes.plot(values[:, 0], values[:, 1], ".", color=colour, markersize=2, alpha=0.5, label=label)


def _draw_histogram(axes: Any, values: Tensor, colour: str, label: str) -> None:
    axes.hist(values[:, 0].numpy(), bins=100, density=True, color=colour, alpha=0.6, label=label)


def _set_limits(axes: Any, points: Tensor) -> None:
    low, high = float(points[:, :2].min()), float(points[:, :2].max())
    margin = 0.15 * (high - low) or 1.0
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(low - margin, high + margin)
    axes.set_aspect("equal")

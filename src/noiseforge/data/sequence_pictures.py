"""How series are shown: as lines over time, several small plots in one picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.spec import Spec

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PLOTS = 16
"""Series of a picture, the first ones."""
MOST_LINES = 8
"""Features of one plot, spread over all."""
PANEL = (2.6, 1.7)
"""Inches of a small plot."""


def plots(
    x: Tensor,
    spec: Spec,
    *,
    length: Tensor | None = None,
    reference: Tensor | None = None,
    columns: int = 4,
    title: str | None = None,
) -> Image:
    """Each series as a plot of its features over time, all of them on one scale. Gaps are left open.

    Args:
        x: (N, T, D) in model units; the first 16 are shown.
        spec: names the features.
        length: (N,) where series end; None shows all steps.
        reference: (N, T, D) drawn thinly beneath, such as the nearest training series.
        columns: plots in a row.
        title: over all.
    """
    count = min(len(x), MOST_PLOTS)
    figure, axes = panels(count, columns)
    shown = chosen_features(spec)
    for place, axis in enumerate(axes):
        end = x.shape[1] if length is None else int(length[place])
        for line, feature in enumerate(shown):
            if reference is not None:
                axis.plot(as_values(reference[place, :end, feature]), color=f"C{line}", linewidth=0.8, linestyle=":")
            axis.plot(as_values(x[place, :end, feature]), color=f"C{line}", linewidth=1.1)
    _share_scale(axes)
    names = feature_names(spec)
    if len(shown) > 1:
        handles = axes[0].get_lines()[(reference is not None) :: 2 if reference is not None else 1]
        figure.legend(
            handles, [names[feature] for feature in shown], loc="outside lower center", ncols=4, frameon=False
        )
    if title:
        figure.suptitle(title)
    return rendered(figure)


def panels(count: int, columns: int, size: tuple[float, float] = PANEL) -> tuple[Any, list[Any]]:
    """A matplotlib figure with so many small plots, and their axes row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(min(columns, count), 1)
    rows = max(math.ceil(count / columns), 1)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows + 0.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    for axis in axes:
        axis.tick_params(labelsize=7)
    return figure, axes


def rendered(figure: Any) -> Image:
    """A matplotlib figure as a picture."""
    from PIL import Image as images

    figure.canvas.draw()
    return images.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")


def feature_names(spec: Spec) -> list[str]:
    """A name for each feature that a model sees: that of its column, and of its category.

    >>> from noiseforge.data.spec import Column
    >>> columns = (Column(name="a"), Column(name="b", kind="category", categories=("x", "y")))
    >>> feature_names(Spec(source="s", modality="sequence", shape=(2, 3), columns=columns, fingerprint=""))
    ['a', 'b=x', 'b=y']
    """
    names = []
    for column in spec.columns:
        names += [f"{column.name}={category}" for category in column.categories] or [column.name]
    return names if len(names) == spec.shape[1] else [f"feature {place}" for place in range(spec.shape[1])]


def chosen_features(spec: Spec, most: int = MOST_LINES) -> list[int]:
    """The features that are shown: all, or so many spread over them."""
    return torch.linspace(0, spec.shape[1] - 1, min(spec.shape[1], most)).round().long().tolist()


def as_values(x: Tensor) -> np.ndarray:
    """Values for matplotlib, which leaves NaN open."""
    return x.detach().float().cpu().numpy()


def _share_scale(axes: list[Any]) -> None:
    low = min(axis.get_ylim()[0] for axis in axes)
    high = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(low, high)

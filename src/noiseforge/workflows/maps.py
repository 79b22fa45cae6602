"""Maps of a latent space in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from noiseforge.errors import UserError
from noiseforge.workflows.latent import Encodings

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_MAPPED = 2000
"""Codes on a map: t-SNE takes seconds for so many."""
FEWEST_MAPPED = 4
PERPLEXITY = 30.0
NAMED_CLASSES = 20
"""Classes up to which each has a colour of its own, and a name in the legend."""


class Maps(NamedTuple):
    """The same codes on two maps."""

    pca: Tensor
    """(N, 2): along the two directions of most variance of the means."""
    shares: tuple[float, float]
    """Of the variance of the means, along each of them."""
    tsne: Tensor
    """(N, 2): neighbours stay together, while distances and sizes mean nothing (van der Maaten and Hinton, 2008)."""
    y: Tensor | None
    """(N,) labels of the codes."""


def maps(encodings: Encodings, *, seed: int = 0) -> Maps:
    """Both maps of the means of at most 2,000 codes, chosen by chance.

    Raises:
        UserError: there are fewer than 4 codes.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    shown = encodings.chosen(MOST_MAPPED, seed)
    mean = shown.mean.double().numpy()
    if len(mean) < FEWEST_MAPPED:
        raise UserError(f"a map needs at least {FEWEST_MAPPED} codes, got {len(mean)}: encode more")
    pca = PCA(min(2, mean.shape[1]), svd_solver="full")
    with np.errstate(invalid="ignore"):  # codes that are all the same have no variance to share out
        plane = pca.fit_transform(mean)
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    plane, shares = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1]))), np.pad(shares, (0, 2 - len(shares)))
    start = 1e-4 * plane / max(plane[:, 0].std(), 1e-12)
    perplexity = min(PERPLEXITY, (len(mean) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(mean)
    return Maps(
        torch.from_numpy(plane).float(),
        (float(shares[0]), float(shares[1])),
        torch.from_numpy(tsne).float(),
        shown.y,
    )


def draw_map(points: Tensor, y: Tensor | None, classes: tuple[str, ...], title: str) -> Image:
    """Points (N, 2) as a picture, coloured by their labels (N,), which up to 20 classes a legend names."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image as images

    figure = Figure(figsize=(6.4, 5), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=title, xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    dots: dict[str, Any] = {"s": 9, "linewidths": 0, "alpha": 0.8}
    if y is None:
        axes.scatter(*points.T, **dots)
    elif not 0 < len(classes) <= NAMED_CLASSES:
        axes.scatter(points[:, 0], points[:, 1], c=y, **dots)
    else:
        colours = colormaps["tab10" if len(classes) <= 10 else "tab20"]
        for label in y.unique().tolist():
            axes.scatter(*points[y == label].T, color=colours(label), label=classes[label], **dots)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
    canvas.draw()
    return images.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

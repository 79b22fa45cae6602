"""Generated series beside real ones, drawn: over time, as distributions, and as points on a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.pictures import MODEL_COLOUR, REFERENCE_COLOUR
from noiseforge.data.samples import Samples
from noiseforge.data.sequence_pictures import as_values, chosen_features, feature_names, panels, rendered
from noiseforge.data.spec import Spec
from noiseforge.evaluation.sequence_statistics import autocorrelation, masked, most_lags
from noiseforge.evaluation.sequence_view import view

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_FEATURES = 12
"""Features that are drawn, each in a plot of its own."""
OVERLAID = 25
"""Series of a kind in one plot."""
BINS = 40
POINTS = 500
"""Series of a kind on the plane."""
LAYERS = (("data", REFERENCE_COLOUR), ("generated", MODEL_COLOUR))
Kinds = tuple[Samples, Samples]
"""Real series and generated ones."""


def overlays(kinds: Kinds, spec: Spec) -> Image:
    """For each feature 25 real series and 25 generated ones over time."""

    def draw(axis: Any, feature: int) -> None:
        for samples, (_, colour) in zip(kinds, LAYERS, strict=True):
            values = masked(samples)[:OVERLAID, :, feature]
            axis.plot(as_values(values.T), color=colour, linewidth=0.6, alpha=0.6)

    return _by_feature(spec, draw)


def marginals(kinds: Kinds, spec: Spec) -> Image:
    """For each feature how its values are distributed."""

    def draw(axis: Any, feature: int) -> None:
        values = [as_values(masked(samples)[..., feature].flatten()) for samples in kinds]
        known = [part[~np.isnan(part)] for part in values]
        everything = np.concatenate(known) if len(np.concatenate(known)) else np.zeros(1)
        edges = np.histogram_bin_edges(everything, BINS)
        for part, (_, colour) in zip(known, LAYERS, strict=True):
            if len(part):
                axis.hist(part, edges, density=True, color=colour, alpha=0.6)
        axis.set_yticks([])

    return _by_feature(spec, draw)


def autocorrelations(kinds: Kinds, spec: Spec) -> Image:
    """For each feature how values are correlated with those so many steps later."""
    lags = most_lags(kinds[0].x)
    curves = [as_values(autocorrelation(masked(samples), lags)) for samples in kinds]

    def draw(axis: Any, feature: int) -> None:
        for curve, (_, colour) in zip(curves, LAYERS, strict=True):
            axis.plot(curve[:, feature], color=colour, linewidth=1.5)
        axis.set_ylim(min(-0.1, float(min(curve[:, feature].min() for curve in curves)) - 0.05), 1.05)

    return _by_feature(spec, draw)


def planes(kinds: Kinds, spec: Spec, *, seed: int = 0) -> Image:
    """All series as points: along the two main components of the real ones, and placed by t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    n = min(POINTS, *(len(samples.x) for samples in kinds))
    ragged = any(samples.length is not None for samples in kinds)
    vectors = [view(samples.x[:n], _lengths(samples, n) if ragged else None, spec).numpy() for samples in kinds]
    main = PCA(2, random_state=seed) if min(vectors[0].shape) > 1 else None
    both = np.concatenate(vectors)
    flat = np.pad(both[:, :1], ((0, 0), (0, 1))) if main is None else main.fit(vectors[0]).transform(both)
    perplexity = min(30.0, (len(both) - 1) / 3)
    placed = TSNE(2, perplexity=perplexity, init="random", random_state=seed, max_iter=500).fit_transform(both)
    figure, axes = panels(2, 2, (4.4, 4.0))
    for axis, points, name in zip(axes, (flat, placed), ("main components (PCA)", "t-SNE"), strict=True):
        for part, (label, colour) in zip((points[:n], points[n:]), LAYERS, strict=True):
            axis.plot(part[:, 0], part[:, 1], ".", color=colour, markersize=3, alpha=0.6, label=label)
        axis.set_title(name, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].legend(frameon=False, fontsize=8, markerscale=3)
    return rendered(figure)


def _lengths(samples: Samples, n: int) -> Tensor:
    return torch.full((n,), samples.x.shape[1]) if samples.length is None else samples.length[:n]


def _by_feature(spec: Spec, draw: Any) -> Image:
    shown, names = chosen_features(spec, MOST_FEATURES), feature_names(spec)
    figure, axes = panels(len(shown), 4)
    for axis, feature in zip(axes, shown, strict=True):
        draw(axis, feature)
        axis.set_title(names[feature], fontsize=8)
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour) for _, colour in LAYERS]
    figure.legend(handles, [label for label, _ in LAYERS], loc="outside lower center", ncols=2, frameon=False)
    return rendered(figure)

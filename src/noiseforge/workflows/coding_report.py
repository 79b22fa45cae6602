"""What an evaluation says of a model with an encoder beside its samples: figures of its codes, and pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from noiseforge.data.spec import Data
from noiseforge.evaluation.coding_sections import CodeMaps, CodeWalks, CodingPictures
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.gallery import fitting
from noiseforge.workflows.latent import Encodings, encodings, traversals
from noiseforge.workflows.maps import FEWEST_MAPPED, MOST_MAPPED, draw_map, maps
from noiseforge.workflows.measurements import EXAMPLES, likelihood, probes, reconstruction

Progress = Callable[[str, float], None]

PAIRS = 24
"""Images that are shown beside their reconstructions."""
WALKS, STEPS = 8, 11
"""Dimensions that are walked along, and pictures of each walk: an odd number has the example in its middle."""


def encodes(model: Any, data: Data) -> bool:
    """Whether the model has an encoder, and can be told what it wants to know of the data: its labels."""
    if not hasattr(model, "encode"):
        return False
    labelled = data.train.labels is not None and data.test.labels is not None
    return not model.classes or (labelled and len(data.spec.classes) == model.classes)


def with_coding(
    evaluation: Evaluation, model: Any, data: Data, *, seed: int, samples: int, progress: Progress | None = None
) -> Evaluation:
    """The evaluation with the figures of `coding_figures` after its own, and with the time that they took."""
    began = time.perf_counter()
    figures = coding_figures(model, data, seed=seed, samples=samples, progress=progress)
    seconds = round(evaluation.seconds + time.perf_counter() - began, 3)
    return evaluation.model_copy(update={"figures": (*evaluation.figures, *figures), "seconds": seconds})


def coding_figures(
    model: Any, data: Data, *, seed: int, samples: int, progress: Progress | None = None
) -> tuple[Figure, ...]:
    """What an encoder is good for, on test examples.

    Args:
        model: with an encoder; one that also has a likelihood is asked for it.
        data: a probe learns from its training examples; everything is measured on its test examples.
        seed: of every random choice.
        samples: importance samples for each example's likelihood.
        progress: called with what is being done, and the share of it that is done.

    Returns:
        The figures of `likelihood_figures`, where there is a likelihood; reconstruction_error; linear_probe and
        knn_probe, where there are labels.

    Raises:
        Diverged: codes or likelihoods are not finite.
    """
    tell = progress or (lambda stage, share: None)
    figures, kind = likelihood(model, data, seed, lambda share: tell("likelihood", share), samples=samples)
    tell("reconstruction", 0.0)
    again = reconstruction(model, data, seed)
    tell("probing the codes", 0.0)
    read = probes(model, data, seed)
    tell("probing the codes", 1.0)
    return (*(_told(figure, kind) for figure in figures), *([again.error] if again else []), *read)


def _told(figure: Figure, kind: str) -> Figure:
    """What a likelihood is of, said where it is compared."""
    if figure.metric != "nll":
        return figure
    return figure.model_copy(update={"note": f"{figure.note}; likelihood: {kind}"})


def coding_pictures(model: Any, data: Data, *, seed: int, progress: Progress | None = None) -> CodingPictures:
    """What a report shows of the codes of test examples; arguments as of `coding_figures`."""
    tell = progress or (lambda stage, share: None)
    tell("drawing the codes", 0.0)
    points = data.spec.modality == "point"
    again = reconstruction(model, data, seed, n=EXAMPLES if points else PAIRS)
    assert again is not None, "whoever asks for pictures of codes has an encoder"
    codes = encodings(model, data.test, n=MOST_MAPPED, seed=seed)
    walks = _walks(model, codes)
    tell("drawing the codes", 0.5)
    drawn = _maps(codes, data.spec.classes, seed) if len(codes.mean) >= FEWEST_MAPPED else None
    tell("drawing the codes", 1.0)
    return CodingPictures(again.originals, again.again, again.length, drawn, walks)


def _walks(model: Any, codes: Encodings) -> CodeWalks:
    """As many walks as a page has room for."""
    x, ranking, activity = traversals(model, codes, dimensions=WALKS, steps=STEPS)
    rows = max(fitting(x.flatten(0, 1), WALKS * STEPS) // STEPS, 1) if x.ndim == 5 else len(x)
    return CodeWalks(x[:rows], tuple(ranking[:rows].tolist()), tuple(activity[:rows].tolist()), len(codes.mean))


def _maps(codes: Encodings, classes: tuple[str, ...], seed: int) -> CodeMaps:
    found = maps(codes, seed=seed)
    first, second = found.shares
    return CodeMaps(
        draw_map(found.pca, found.y, classes, f"PCA: {first:.1%} across, {second:.1%} up"),
        draw_map(found.tsne, found.y, classes, "t-SNE"),
        found.shares,
        len(found.pca),
    )

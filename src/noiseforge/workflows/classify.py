"""What a trained classifier says of sequences, and how that holds out against noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from noiseforge.corruption.compose import parse
from noiseforge.data import Data
from noiseforge.data.columns import rescaled
from noiseforge.data.listing import OnBadFile
from noiseforge.data.samples import Samples, as_samples, read_samples, relabelled
from noiseforge.data.spec import Dataset
from noiseforge.errors import UserError
from noiseforge.evaluation.bootstrap import wilson
from noiseforge.evaluation.classification import classification_figures
from noiseforge.evaluation.figures import Figure
from noiseforge.models.classifier import Classifier
from noiseforge.training.run import Run
from noiseforge.workflows.subject import RunLike, SamplesLike, is_run, opened_run, reference

if TYPE_CHECKING:
    from PIL.Image import Image

LEVELS = (20.0, 10.0, 5.0, 0.0)
"""Of a noise curve, in dB, beside clean data."""
FILES = (".csv", ".tsv", ".parquet", ".npy", ".npz")


class Classification(NamedTuple):
    """What a classifier says of N sequences, in their order."""

    labels: np.ndarray
    """(N,) names of the likeliest classes."""
    probabilities: np.ndarray
    """(N, K) float32."""
    classes: tuple[str, ...]
    """K names, in the order of the probabilities."""
    truth: np.ndarray | None
    """(N,) names of the true classes, where the data have labels."""
    figures: tuple[Figure, ...]
    """How well they agree; empty without labels."""


class NoisePoint(NamedTuple):
    """Accuracy at one level of a corruption."""

    level: float | None
    """None is clean."""
    corruption: str
    """As text; empty where it is clean."""
    accuracy: float
    low: float
    high: float
    """Ends of the 95 % interval (Wilson)."""
    n: int


def classify(
    run: RunLike,
    data: str | Path | Data | SamplesLike | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    on_bad_file: OnBadFile = "error",
) -> Classification:
    """The classes of sequences, and how well they agree with the labels, if there are any.

    Args:
        run: of a classifier, or its folder.
        data: a table (`.csv`, `.parquet`), an array or a file of one (`.npy`, `.npz`), all in source units: every
            series of it. Any other source, as `load_data` takes it with the run's own settings: its test set. None is
            the run's own test set.
        seed: of the figures' intervals.
        device: auto, cpu or cuda.
        on_bad_file: "error" or "skip".

    Raises:
        UserError: the run is of no classifier; the data cannot be read, or have other features.
    """
    opened = opened_run(run)
    model = _classifier(opened, device)
    given = _given(opened, data, on_bad_file)
    probability = model.predict_proba(given.x, given.length)
    names = np.array(model.spec.classes)
    truth: np.ndarray | None = None
    figures: tuple[Figure, ...] = ()
    if given.y is not None:
        figures = classification_figures(probability, given.y, classes=model.spec.classes, seed=seed)
        truth = names[given.y.numpy()]
    return Classification(names[probability.argmax(1).numpy()], probability.numpy(), model.spec.classes, truth, figures)


def noise_curve(
    run: RunLike,
    data: str | Path | Data | None = None,
    *,
    corruption: str = "snr",
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    device: str = "auto",
    on_bad_file: OnBadFile = "error",
) -> list[NoisePoint]:
    """The accuracy on clean data, and at each level of a corruption.

    All levels meet the same sequences with the same draws, so that they differ by the level alone.

    Args:
        run: of a classifier, or its folder.
        data: as `classify` takes it, with labels.
        corruption: one of sequences, by its name.
        levels: its values, such as decibels.
        seed: of what is drawn.
        device: auto, cpu or cuda.
        on_bad_file: "error" or "skip".

    Raises:
        UserError: as `classify`; the data have no labels; there is no such corruption, or no such level of it.
    """
    steps = [parse("", "sequence"), *(parse(f"{corruption}:{level:g}", "sequence") for level in levels)]
    opened = opened_run(run)
    model = _classifier(opened, device)
    given = _given(opened, data, on_bad_file)
    if given.y is None:
        raise UserError("a noise curve compares with labels, and these data have none: name a label column")
    points = []
    for level, step in zip((None, *levels), steps, strict=True):
        noisy = step(given.x, length=given.length, generator=torch.Generator().manual_seed(seed))
        right = model.predict_proba(noisy, given.length).argmax(1) == given.y
        accuracy = float(right.double().mean())
        points.append(NoisePoint(level, str(step), accuracy, *wilson(accuracy, len(right)), len(right)))
    return points


def draw_noise_curve(curves: dict[str, Sequence[NoisePoint]], *, title: str = "") -> Image:
    """Noise curves by name as a picture, with their intervals; clean data stand at the left."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing
    from PIL import Image as images

    figure = Drawing(figsize=(6.4, 4), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=title, xlabel="corruption", ylabel="accuracy")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    for name, points in curves.items():
        places, values = range(len(points)), [point.accuracy for point in points]
        axes.plot(places, values, marker="o", markersize=4, label=name)
        axes.fill_between(places, [point.low for point in points], [point.high for point in points], alpha=0.2)
        axes.set_xticks(places, [point.corruption or "clean" for point in points])
    axes.legend(frameon=False)
    canvas.draw()
    return images.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _classifier(run: Run, device: str) -> Classifier:
    if run.recipe.model.kind != "classifier":
        raise UserError(
            f"{run.path} is of no classifier (model.kind={run.recipe.model.kind}): train sequence/digits-rows"
        )
    model = run.load_model(device)
    assert isinstance(model, Classifier)
    return model


def _given(run: Run, data: str | Path | Data | SamplesLike | None, on_bad_file: OnBadFile) -> Samples:
    """The sequences as the run's model takes them."""
    if isinstance(data, SamplesLike):
        return as_samples(data, run.spec)
    if isinstance(data, str | Path) and Path(data).suffix.lower() in FILES and Path(data).expanduser().is_file():
        return read_samples(data, run.spec, on_bad_file=on_bad_file)
    if isinstance(data, str | Path) and is_run(data):
        raise UserError(f"{data} is a training and holds no data: its own noise curve comes beside by --against {data}")
    found, _ = reference(run, data, on_bad_file)
    if found.spec.modality != "sequence":
        raise UserError(f"{run.path} takes sequences, and {found.spec.source} holds {found.spec.modality} examples")
    given = relabelled(_all(found.test), found.spec, run.spec)
    return given._replace(x=rescaled(given.x, given.length, found.spec, run.spec))


def _all(dataset: Dataset) -> Samples:
    batch = dataset.batch(torch.arange(len(dataset)))
    return Samples(batch.x, batch.y, batch.length)

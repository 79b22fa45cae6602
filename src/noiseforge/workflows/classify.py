"""What a trained classifier says of sequences, and how that holds out against noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from noiseforge.corruption.compose import parse
from noiseforge.data import Data
from noiseforge.data.listing import OnBadFile
from noiseforge.data.samples import Samples, as_samples, read_samples
from noiseforge.data.spec import Column, Dataset, Spec
from noiseforge.errors import UserError
from noiseforge.evaluation.bootstrap import wilson
from noiseforge.evaluation.classification import classification_figures
from noiseforge.evaluation.figures import Figure
from noiseforge.models.classifier import Classifier
from noiseforge.training.run import Run
from noiseforge.workflows.subject import RunLike, SamplesLike, opened_run, reference

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
    found, _ = reference(run, data, on_bad_file)
    if found.spec.modality != "sequence":
        raise UserError(f"{run.path} takes sequences, and {found.spec.source} holds {found.spec.modality} examples")
    return _rescaled(_all(found.test), found.spec, run.spec)


def _all(dataset: Dataset) -> Samples:
    batch = dataset.batch(torch.arange(len(dataset)))
    return Samples(batch.x, batch.y, batch.length)


def _rescaled(samples: Samples, theirs: Spec, ours: Spec) -> Samples:
    """Sequences as data with another scaling and other labels has them.

    Raises:
        UserError: they have other columns.
    """
    if [_form(column) for column in theirs.columns] != [_form(column) for column in ours.columns]:
        wanted, found = (", ".join(column.name for column in spec.columns[:8]) for spec in (ours, theirs))
        raise UserError(f"{theirs.source} has other columns ({found}) than the classifier was trained on ({wanted})")
    scale, offset = (_by_feature(theirs, name) for name in ("scale", "offset"))
    own_scale, own_offset = (_by_feature(ours, name) for name in ("scale", "offset"))
    x = (samples.x * scale + offset - own_offset) / own_scale
    if samples.length is not None:
        ended = torch.arange(x.shape[1]) >= samples.length[:, None]
        x = x.masked_fill(ended[:, :, None], 0)
    places = {name: index for index, name in enumerate(ours.classes)}
    if samples.y is None or not theirs.classes:
        return Samples(x, None, samples.length)
    strange = [name for name in theirs.classes if name not in places]
    if strange:
        raise UserError(f"{theirs.source} has a class {strange[0]!r} that the classifier does not know")
    return Samples(x, torch.tensor([places[name] for name in theirs.classes])[samples.y], samples.length)


def _form(column: Column) -> tuple[str, str, tuple[str, ...]]:
    return column.name, column.kind, column.categories


def _by_feature(spec: Spec, name: str) -> Tensor:
    """An entry of each column for each of its features; of categories, which are not scaled, 0 and 1."""
    plain = {"scale": 1.0, "offset": 0.0}[name]
    entries = [[plain if column.categories else float(getattr(column, name))] * column.width for column in spec.columns]
    return torch.tensor([entry for part in entries for entry in part])

"""The evaluation of a classifier: how often it is right, which classes it takes for which, and under noise."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noiseforge.data import Data
from noiseforge.data.saving import check_picture, check_place, save_picture
from noiseforge.data.spec import Dataset
from noiseforge.errors import UserError, unknown
from noiseforge.evaluation import charts
from noiseforge.evaluation.classification import classification_figures
from noiseforge.evaluation.diagnosis import diagnose
from noiseforge.evaluation.figures import Evaluation
from noiseforge.evaluation.gallery import drawn
from noiseforge.evaluation.gradient_reach import typical_reach
from noiseforge.evaluation.page import section
from noiseforge.evaluation.report import MOST_CLASSES, write_report
from noiseforge.files import replacing
from noiseforge.recipes.load import to_yaml
from noiseforge.training.run import Run
from noiseforge.workflows.classify import Classification, NoisePoint, draw_noise_curve, noise_curve
from noiseforge.workflows.classify import classify as name_classes
from noiseforge.workflows.subject import RunLike, SamplesLike, opened_run

CHUNK = 1000
"""Examples that are fetched at a time."""
NOISY = 2000
"""Test examples, at most, whose classes are named under noise for the page."""
Progress = Callable[[str, float], None]


def classify(
    run: RunLike,
    data: str | Path | Data | SamplesLike | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    **chosen: Any,
) -> Classification:
    """Names the classes of sequences: see `workflows.classify.classify`; `out` takes a table (.csv) of them all."""

    if out is not None:
        check_labels(Path(out), overwrite=overwrite)
    found = name_classes(run, data, **chosen)
    if out is not None:
        save_labels(Path(out), found, overwrite=overwrite)
    return found


def noise_curves(
    runs: Sequence[RunLike],
    data: str | Path | Data | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    **chosen: Any,
) -> dict[str, list[NoisePoint]]:
    """The accuracy of classifiers at levels of a corruption: see `workflows.classify.noise_curve`; `out` is a PNG."""

    if out is not None:
        check_picture(Path(out), overwrite=overwrite)
    curves = {str(opened_run(run).path): noise_curve(run, data, **chosen) for run in runs}
    if out is not None:
        save_picture(Path(out), draw_noise_curve({Path(name).name: points for name, points in curves.items()}))
    return curves


def recognises(model: Any) -> bool:
    """Whether a model names classes and makes no samples."""
    return hasattr(model, "predict_proba") and not hasattr(model, "sample")


def evaluate_classifier(
    run: Run,
    model: Any,
    real: Data,
    *,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    subject: str = "",
    command: str = "",
    images: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """The figures of a classifier on test examples, and with a folder the page that shows them.

    Raises:
        UserError: the data have no labels, or other classes than the model knows; a metric that there is not.
    """
    began = time.perf_counter()
    tell = progress or (lambda stage, share: None)
    y = real.test.labels
    if y is None or real.spec.classes != model.spec.classes:
        raise UserError(f"{real.spec.source} has not the labels that {run.path} learned: name data with those")
    probability = _probabilities(model, real.test, lambda share: tell("naming classes", share))
    figures = classification_figures(probability, y, classes=real.spec.classes, seed=seed)
    if metrics is not None:
        known = {figure.metric: figure for figure in figures}
        strange = next((name for name in metrics if name not in known), None)
        if strange:
            raise unknown("metric of a classifier", strange, known)
        figures = tuple(known[name] for name in metrics)
    evaluation = Evaluation(
        subject=subject or str(run.path),
        source=real.spec.source,
        fingerprint=real.spec.fingerprint,
        images=images,
        command=command,
        figures=figures,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 3),
    )
    if folder is not None:
        tell("naming classes under noise", 1.0)
        curve = _noise(run, real, seed, device)
        _write(folder, evaluation, run, real, _confusion(probability.argmax(1), y, real.spec.classes), curve)
    return evaluation


def save_labels(path: Path, found: Classification, *, overwrite: bool = False) -> None:
    """A table (.csv): a row for each sequence with its class, the true one where that is known, and probabilities.

    Raises:
        UserError: something is there that may not be replaced, or the name does not end in .csv.
    """
    check_labels(path, overwrite=overwrite)
    truth = [] if found.truth is None else found.truth.tolist()
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sequence", "class", *["truth"] * bool(truth), *(f"p({name})" for name in found.classes)])
        for i, (name, probability) in enumerate(zip(found.labels.tolist(), found.probabilities.tolist(), strict=True)):
            writer.writerow([i, name, *truth[i : i + 1], *(f"{p:.6g}" for p in probability)])


def check_labels(path: Path, *, overwrite: bool) -> None:
    """Refuses, before the work is done, what `save_labels` would not write.

    Raises:
        UserError: as `save_labels`.
    """
    check_place(path, overwrite=overwrite)
    if path.suffix.lower() != ".csv" or path.is_dir():
        raise UserError(f"{path}: labels are saved as a table, with a name that ends in .csv")


def _probabilities(model: Any, dataset: Dataset, tell: Callable[[float], None]) -> Tensor:
    parts = []
    for rows in torch.arange(len(dataset)).split(CHUNK):
        batch = dataset.batch(rows)
        parts.append(model.predict_proba(batch.x, batch.length))
        tell((int(rows[-1]) + 1) / len(dataset))
    return torch.cat(parts)


def _write(folder: Path, evaluation: Evaluation, run: Run, real: Data, *shown: str) -> None:
    records = run.records()
    write_report(
        folder,
        evaluation,
        None,
        real,
        records=records,
        diagnosis=diagnose(records, evaluation, recipe=run.recipe, spec=run.spec),
        recipe=to_yaml(run.recipe),
        shown=(*shown, _reach(typical_reach(records))),
    )


def _confusion(named: Tensor, y: Tensor, classes: Sequence[str]) -> str:
    """A table of true classes against named ones; nothing where there are too many to read."""
    k = len(classes)
    if k > MOST_CLASSES:
        return ""
    counts = torch.bincount(y * k + named, minlength=k * k).view(k, k)
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in classes)
    rows = ""
    for name, row in zip(classes, counts.tolist(), strict=True):
        cells = "".join(f"<td>{count or '·'}</td>" for count in row)
        rows += f"<tr><th scope=row>{escape(name)}</th>{cells}</tr>"
    table = f"<div class=wide><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    return section("Classes", "Rows: the true class. Columns: the class that was named. Numbers of examples.", table)


def _noise(run: Run, real: Data, seed: int, device: str) -> str:
    rows = torch.randperm(len(real.test), generator=torch.Generator().manual_seed(seed))[:NOISY]
    points = noise_curve(run, real._replace(test=real.test.subset(rows)), seed=seed, device=device)
    picture = drawn(draw_noise_curve({run.path.name: points}), "accuracy against the level of noise")
    lead = (
        f"Sensor noise at a signal-to-noise ratio, on {len(rows):,} test examples; the band is the 95 % interval. "
        "Training with <code>model.corrupt</code> lifts the right end."
    )
    return section("Under noise", lead, f'<figure class="chart single">{picture}</figure>')


def _reach(norms: Sequence[float]) -> str:
    """How strongly the last step's loss depends on steps further back, as the last looks of the training saw it."""
    largest = max(norms, default=0.0)
    if len(norms) < 3 or largest <= 0:
        return ""
    steps = [0.0, *(2.0**place for place in range(len(norms) - 1))]
    curve = [(distance, norm / largest) for distance, norm in zip(steps, norms, strict=True)]
    chart = charts.lines("Gradient over its largest", {"gradient": curve}, x_name="steps back")
    lead = "The gradient of the loss with respect to the input so many steps before the last: 0 means it is not heard."
    return section("How far back it listens", lead, f'<div class=charts style="max-width: 34rem">{chart}</div>')

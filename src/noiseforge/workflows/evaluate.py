"""Samples, or a trained model, measured against real data, and the report of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from noiseforge.data import Data
from noiseforge.data.folder import OnBadFile
from noiseforge.evaluation.evidence import images_seen
from noiseforge.evaluation.figures import Evaluation
from noiseforge.files import new_folder
from noiseforge.training.processes import choose_device
from noiseforge.workflows.coding_report import coding_pictures, encodes, with_coding
from noiseforge.workflows.measured import measured, with_bits, with_origin
from noiseforge.workflows.recognition import evaluate_classifier, recognises
from noiseforge.workflows.report import report_folder, reproduction, write
from noiseforge.workflows.subject import RunLike, SamplesLike, reference, subject_name, subject_samples


def evaluate(
    subject: RunLike | SamplesLike,
    *,
    data: str | Path | Data | None = None,
    features: str | None = None,
    metrics: Sequence[str] | None = None,
    n: int | None = None,
    seed: int = 0,
    device: str = "auto",
    on_bad_file: OnBadFile = "error",
    out: str | Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Evaluation:
    """Measures samples against real data, and writes a report that a browser shows.

    Of a run with an encoder a full evaluation, one that names no metrics, also measures and shows what its codes know.

    Args:
        subject: a run or its folder; a folder of pictures, `.npy` or `.npz`; or an array of samples.
        data: the real data; None takes a run's own.
        features: judge, random, pixels or inception; None takes the recipe's, or what fits the data.
        metrics: names of some; None takes all that fit.
        n: samples to draw or to take; None takes the recipe's number, or all.
        seed: of every draw.
        device: auto, cpu or cuda.
        on_bad_file: "error" or "skip".
        out: folder of the report; None puts it in the run, or in reports/ for files; arrays get none then.
        progress: called with the stage's name and its share in [0, 1].

    Raises:
        UserError: the samples, the data, a metric or the features do not exist or do not fit together.
    """

    real, run = reference(subject, data, on_bad_file)
    folder = report_folder(subject, out)
    settings = run.recipe.evaluate if run else None
    features = features or (settings.features if settings else None)
    names = tuple(metrics) if metrics is not None else settings.metrics if settings else None
    images = images_seen(run.records()) if run else None
    with new_folder(folder) if folder else nullcontext():  # before the work: what cannot be written is told now
        count = n or (settings.samples if settings else None)
        model = run.load_model(device) if run else None
        if run and recognises(model):
            how: dict[str, Any] = {"metrics": names, "seed": seed}
            command = reproduction(subject, data, on_bad_file, how)
            how |= {"device": device, "images": images, "folder": folder, "progress": progress}
            return evaluate_classifier(run, model, real, subject=subject_name(subject), command=command, **how)
        samples = subject_samples(subject, model, real, count, seed, on_bad_file)
        asked: dict[str, Any] = {"features": features, "metrics": names, "seed": seed}
        told: dict[str, Any] = {"subject": subject_name(subject), "device": choose_device(device), "progress": progress}
        evaluation = with_origin(measured(samples, real, **asked, **told), model)
        command = reproduction(subject, data, on_bad_file, {**asked, "n": len(samples.x)})
        evaluation = evaluation.model_copy(update={"command": command, "images": images})
        if model and names is None:
            evaluation = with_bits(evaluation, model, real, seed=seed, progress=progress)
        pictures = None
        if model and settings and names is None and encodes(model, real):
            coded: dict[str, Any] = {"seed": seed, "progress": progress}
            evaluation = with_coding(evaluation, model, real, samples=settings.likelihood_samples, **coded)
            pictures = coding_pictures(model, real, **coded) if folder else None
        if folder is not None:
            write(folder, evaluation, samples, real, run, pictures)
    return evaluation

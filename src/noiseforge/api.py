"""The verbs of the command line as functions. Arrays are NumPy's; what is done lies on the floors below.

>>> import noiseforge
>>> noiseforge.load_data("digits").spec.shape
(1, 8, 8)
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from noiseforge.data import Data, Spec, load_data
from noiseforge.data import describe as describe_data
from noiseforge.data.pictures import in_source_units, save_samples, show, strip
from noiseforge.data.samples import Samples
from noiseforge.errors import UserError
from noiseforge.evaluation.diagnosis import Diagnosis
from noiseforge.evaluation.diagnosis import diagnose as diagnose_records
from noiseforge.evaluation.figures import Evaluation
from noiseforge.evaluation.neighbours import nearest_examples
from noiseforge.files import replacing
from noiseforge.models import build_model
from noiseforge.recipes.load import read_recipe, to_yaml
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import train as train_players
from noiseforge.training.processes import choose_device
from noiseforge.training.progress import Progress
from noiseforge.training.run import Run
from noiseforge.workflows.interpolate import spherical
from noiseforge.workflows.subject import (
    RunLike,
    SamplesLike,
    drawn,
    is_run,
    opened_run,
    reference,
    subject_name,
    subject_samples,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from noiseforge.data.folder import OnBadFile
    from noiseforge.models.gan import GAN

SHOWN = 8
"""Samples of each class, and pairs of neighbours, in a report."""


class Neighbours(NamedTuple):
    """Samples and their nearest training examples, both (n, *shape); distances (n,) in source units."""

    samples: np.ndarray
    nearest: np.ndarray
    distances: np.ndarray
    indices: np.ndarray


class Plan(NamedTuple):
    """What a training would be: the resolved recipe as YAML, and the sizes of data and networks."""

    recipe: str
    summary: dict[str, Any]


def describe(source: str | Path, *, on_bad_file: OnBadFile = "error", **settings: Any) -> dict[str, object]:
    """What a data source holds and what is wrong with it; settings as of `load_data`."""
    return describe_data(load_data(source, on_bad_file=on_bad_file, **settings))


def train(
    recipe: str | Path | Recipe,
    *,
    data: str | Path | Data | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    resume: bool = False,
    device: str = "auto",
    seed: int | None = None,
    on_bad_file: OnBadFile = "error",
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Trains what a recipe describes.

    Args:
        recipe: a built-in name, a YAML file, a Recipe, or a run folder, which `resume` goes on in.
        data: another source than the recipe's, or data that are already loaded.
        out: the run folder; None is runs/ and the recipe's name.
        overrides: such as `train.batch=32`.
        resume: go on from the last checkpoint in `out`.
        device: auto, cpu or cuda.
        seed: another seed than the recipe's.
        on_bad_file: "error" or "skip".
        progress: called a few times a second.

    Raises:
        UserError: what is given cannot be trained, or training was interrupted or diverged.
    """
    resolved, loaded = _prepared(recipe, data, overrides, seed, on_bad_file)
    folder = Path(out) if out is not None else _default_folder(recipe)
    return train_players(resolved, loaded, folder, resume=resume, device=device, progress=progress)


def plan(
    recipe: str | Path | Recipe,
    *,
    data: str | Path | Data | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    seed: int | None = None,
    on_bad_file: OnBadFile = "error",
) -> Plan:
    """Reads the recipe and the data and builds the networks, so that what is wrong shows; writes nothing."""
    chosen = choose_device(device)
    resolved, loaded = _prepared(recipe, data, overrides, seed, on_bad_file)
    model = build_model(resolved.model, loaded.spec, torch.Generator().manual_seed(resolved.seed))
    summary: dict[str, Any] = {
        "training examples": len(loaded.train),
        "test examples": len(loaded.test),
        "shape": list(loaded.spec.shape),
        "classes": len(loaded.spec.classes),
        "rounds": -(-resolved.train.images // resolved.train.batch),
        "epochs": resolved.train.images / len(loaded.train),
        "device": str(chosen),
    }
    for player in model.players():
        summary[f"parameters of the {player.name}"] = sum(p.numel() for p in player.module.parameters())
    return Plan(to_yaml(resolved), summary)


def load(run: RunLike, *, device: str = "auto") -> GAN:
    """The trained model of a run, with averaged weights, ready to sample.

    Raises:
        UserError: it is no run, or its weights are missing or damaged.
    """
    return opened_run(run).load_model(device)


def sample(
    run: RunLike,
    n: int,
    *,
    label: int | str | None = None,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    overwrite: bool = False,
) -> np.ndarray:
    """Draws samples: pictures (n, C, H, W) float32 in [-1, 1], points (n, D) in source units.

    Args:
        run: a run or its folder.
        n: how many.
        label: one class, by index or name, of a conditional model; None takes the classes in turn.
        seed: of the latent draws.
        device: auto, cpu or cuda.
        out: where to save them, in the form that its ending names (see `save_samples`).
        overwrite: replace what is at `out`.
    """
    _make_way(out, overwrite)
    opened = opened_run(run)
    samples = drawn(opened.load_model(device), n, label, seed)
    if out is not None:
        save_samples(out, samples.x, opened.spec, samples.y)
    return _array(samples.x, opened.spec)


def interpolate(
    run: RunLike,
    seed_a: int,
    seed_b: int,
    steps: int,
    *,
    label: int | str | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    overwrite: bool = False,
) -> np.ndarray:
    """Samples (steps, *shape) on the way from the latent vector of one seed to that of another.

    A conditional model keeps to one class: `label`, or its first. `out` is a strip (.png), a film (.gif) or
    an array (.npy).
    """
    _make_way(out, overwrite)
    opened = opened_run(run)
    model = opened.load_model(device)
    ends = [model.latent(1, torch.Generator().manual_seed(seed))[0] for seed in (seed_a, seed_b)]
    labels = model.labels(steps, label)
    if labels is not None:
        labels = labels[:1].expand(steps)
    x = model.decode(spherical(ends[0], ends[1], steps), labels)
    if out is not None and Path(out).suffix.lower() == ".png" and opened.spec.modality == "image":
        _save_picture(out, strip(x))
    elif out is not None:
        save_samples(out, x, opened.spec)
    return _array(x, opened.spec)


def neighbours(
    subject: RunLike | SamplesLike,
    *,
    data: str | Path | Data | None = None,
    n: int = 16,
    seed: int = 0,
    device: str = "auto",
    on_bad_file: OnBadFile = "error",
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Neighbours:
    """Samples of a run, a file or an array beside the training examples nearest to them, pixel by pixel.

    `out` is a picture of the pairs: each sample, and to its right its neighbour.
    """
    _make_way(out, overwrite)
    real, run = reference(subject, data, on_bad_file)
    samples = subject_samples(subject, run, real.spec, n, seed, device, on_bad_file)
    pairs, distances, indices = _paired(samples.x, real)
    if out is not None:
        options = {"columns": SHOWN} if real.spec.modality == "image" else {}
        _save_picture(out, show(pairs.flatten(0, 1), real.spec, **options))
    shown = [_array(side, real.spec) for side in (pairs[:, 0], pairs[:, 1])]
    return Neighbours(shown[0], shown[1], (distances * real.spec.scale).numpy(), indices.numpy())


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
    from noiseforge.evaluation.evaluate import evaluate_samples

    real, run = reference(subject, data, on_bad_file)
    folder = report_folder(subject, out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)  # before the work, so that what cannot be written is told now
    settings = run.recipe.evaluate if run else None
    count = n or (settings.samples if settings else None)
    samples = subject_samples(subject, run, real.spec, count, seed, device, on_bad_file)
    evaluation = evaluate_samples(
        samples.x,
        real,
        labels=samples.y,
        features=features or (settings.features if settings else None),
        metrics=None if metrics is None else tuple(metrics),
        seed=seed,
        subject=subject_name(subject),
        device=choose_device(device),
        progress=progress,
    )
    if folder is not None:
        _report(folder, evaluation, samples, real, run)
    return evaluation


def diagnose(run: RunLike) -> Diagnosis:
    """Whether a training collapses, diverges or memorises, by its records and its last evaluation."""
    opened = opened_run(run)
    return diagnose_records(opened.records(), _last_evaluation(opened.path / "report" / "evaluation.json"))


def report_folder(subject: RunLike | SamplesLike, out: str | Path | None = None) -> Path | None:
    """Where `evaluate` writes its report: `out`, in the run, in reports/ for files, None for arrays."""
    if out is not None:
        return Path(out)
    if isinstance(subject, SamplesLike):
        return None
    path = subject.path if isinstance(subject, Run) else Path(subject)
    return path / "report" if is_run(subject) else Path("reports") / path.stem


def free_folder(wanted: str) -> str:
    """`wanted`, or where that exists, the first of wanted-2, wanted-3, ... that does not."""
    return next(name for i in count(1) if not Path(name := wanted if i == 1 else f"{wanted}-{i}").exists())


def last_records(run: Run) -> dict[str, dict[str, object]]:
    """The last line of each kind in a run's records."""
    return {str(record.get("event")): record for record in run.records()}


def _prepared(
    recipe: str | Path | Recipe,
    data: str | Path | Data | None,
    overrides: Sequence[str],
    seed: int | None,
    on_bad_file: OnBadFile,
) -> tuple[Recipe, Data]:
    """The resolved recipe and its data."""
    resolved = read_recipe(recipe, overrides)
    if data is not None:
        source = data.spec.source if isinstance(data, Data) else str(data)
        resolved = resolved.model_copy(update={"data": resolved.data.model_copy(update={"source": source})})
    if seed is not None:
        resolved = resolved.model_copy(update={"seed": seed})
    if isinstance(data, Data):
        return resolved, data
    return resolved, load_data(**resolved.data.model_dump(), on_bad_file=on_bad_file)


def _default_folder(recipe: str | Path | Recipe) -> Path:
    """A run goes on in itself; others go to runs/ and the recipe's name."""
    if isinstance(recipe, Recipe):
        raise UserError("out is missing: a recipe that is no file has no name; say out='runs/NAME'")
    return Path(recipe) if is_run(recipe) else Path("runs") / Path(recipe).stem


def _paired(x: Tensor, real: Data) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (n, 2, *shape) of samples and their nearest training examples, distances (n,), indices (n,)."""
    distances, indices = nearest_examples(x.flatten(1), real.train, lambda batch: batch.flatten(1))
    return torch.stack([x, real.train.batch(indices).x], dim=1), distances, indices


def _report(folder: Path, evaluation: Evaluation, samples: Samples, real: Data, run: Run | None) -> None:
    from noiseforge.evaluation.report import write_report

    pairs, _, _ = _paired(samples.x[:SHOWN], real)
    records = run.records() if run else None
    write_report(
        folder,
        evaluation,
        samples.x,
        real,
        records=records,
        neighbours=(pairs[:, 0], pairs[:, 1]),
        by_class=_by_class(samples, len(real.spec.classes)),
        diagnosis=diagnose_records(records, evaluation) if records else None,
        recipe=to_yaml(run.recipe) if run else None,
    )


def _by_class(samples: Samples, classes: int) -> Tensor | None:
    """(classes, SHOWN, *shape): a row for each class; None without labels or with too few of one."""
    if samples.y is None or int(torch.bincount(samples.y, minlength=classes).min()) < SHOWN:
        return None
    return torch.stack([samples.x[samples.y == label][:SHOWN] for label in range(classes)])


def _last_evaluation(path: Path) -> Evaluation | None:
    if not path.is_file():
        return None
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except ValidationError:
        raise UserError(f"{path} is damaged: remove it, or run `noiseforge evaluate` again") from None


def _array(x: Tensor, spec: Spec) -> np.ndarray:
    return (in_source_units(x, spec) if spec.modality == "point" else x).numpy()


def _save_picture(out: str | Path, picture: Image) -> None:
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: expected a picture's name that ends in .png")
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _make_way(out: str | Path | None, overwrite: bool) -> None:
    """Refuses to write over what is there; with `overwrite`, empties a folder that holds pictures alone."""
    path = Path(out) if out is not None else None
    if path is None or not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise UserError(f"{path} exists: choose another --out, or replace it with --overwrite")
    if path.is_dir():
        strange = next((file for file in path.rglob("*") if file.is_file() and file.suffix != ".png"), None)
        if strange is not None:
            raise UserError(f"{path} is kept, as it holds more than pictures ({strange.name}): choose another --out")
        shutil.rmtree(path)

"""The verbs of the command line as functions. Arrays are NumPy's; what is done lies on the floors below.

>>> import noiseforge
>>> noiseforge.load_data("digits").spec.shape
(1, 8, 8)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from noiseforge.data import Data, Spec, load_data, to_frame
from noiseforge.data import describe as describe_data
from noiseforge.data.pictures import in_source_units
from noiseforge.data.saving import check_target, save_samples
from noiseforge.data.series_saving import source_array
from noiseforge.errors import UserError
from noiseforge.evaluation.diagnosis import Diagnosis
from noiseforge.evaluation.diagnosis import diagnose as diagnose_records
from noiseforge.models import build_model
from noiseforge.recipes.load import read_recipe, to_yaml
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import train as train_players
from noiseforge.training.processes import choose_device
from noiseforge.training.progress import Progress
from noiseforge.training.run import Run
from noiseforge.workflows.coding import encode as encode
from noiseforge.workflows.coding import posterior
from noiseforge.workflows.coding import reconstruct as reconstruct
from noiseforge.workflows.evaluate import evaluate as evaluate
from noiseforge.workflows.interpolate import interpolate as interpolate
from noiseforge.workflows.neighbours import Neighbours as Neighbours
from noiseforge.workflows.neighbours import neighbours as neighbours
from noiseforge.workflows.recognition import classify as classify
from noiseforge.workflows.recognition import noise_curves as noise_curves
from noiseforge.workflows.report import last_evaluation
from noiseforge.workflows.report import report_folder as report_folder
from noiseforge.workflows.subject import (
    RunLike,
    drawn,
    is_run,
    opened_run,
)

if TYPE_CHECKING:
    import pandas

    from noiseforge.data.folder import OnBadFile
    from noiseforge.data.samples import Samples
    from noiseforge.evaluation.run_comparison import RunComparison
    from noiseforge.models.model import Model

logger = logging.getLogger(__name__)

PROBLEMS = 5
"""Of the data, that a training tells of at most."""


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


def load(run: RunLike, *, device: str = "auto") -> Model:
    """The trained model of a run, with averaged weights, ready to sample.

    Raises:
        UserError: it is no run, or its weights are missing or damaged.
    """
    return opened_run(run).load_model(device)


def sample(run: RunLike, n: int, **chosen: Any) -> np.ndarray:
    """Draws samples: pictures (n, C, H, W) float32 in [-1, 1], points (n, D) in source units, sound (n, 1, T).

    Sequences are (n, T, columns) in source units, NaN where a value is missing and after the end of a series.

    Args:
        run: a run or its folder.
        n: how many.
        **chosen: see `draw`.
    """
    opened = opened_run(run)
    samples = draw(opened, n, **chosen)
    return source_array(samples, opened.spec) if opened.spec.modality == "sequence" else _array(samples.x, opened.spec)


def generated_by(run: RunLike) -> str | None:
    """What computes the samples of a run, in words, where an install has one of several ways; None elsewhere."""
    from noiseforge.networks.wavenet.generate import way

    return way() if opened_run(run).recipe.model.kind == "wavenet" else None


def sample_frame(run: RunLike, n: int, **chosen: Any) -> pandas.DataFrame:
    """Draws n series as a pandas data frame with the columns, types and categories of the data; see `draw`.

    Raises:
        UserError: pandas is not installed, or the run makes no sequences.
    """
    opened = opened_run(run)
    return to_frame(draw(opened, n, **chosen), opened.spec)


def draw(
    run: RunLike,
    n: int,
    *,
    label: int | str | None = None,
    prior: Literal["normal", "mixture"] = "normal",
    speaker: int | str | None = None,
    seconds: float | None = None,
    temperature: float | None = None,
    nucleus: float | None = None,
    denoised: bool | None = None,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Samples:
    """Draws samples in model units, with the labels that they were made for and, of sound, lengths and speakers.

    Args:
        run: a run or its folder.
        n: how many.
        label: one class, by index or name, of a conditional model; None takes the classes in turn.
        prior: where latents are drawn: the model's own prior, or of a model with an encoder a Gaussian mixture that is
            fitted to the codes of the training data, once, and kept in the run.
        speaker: of a model of sound, one by index or name; None takes them in turn.
        seconds: of each clip; None draws the durations of training clips.
        temperature: of sound; below 1 prefers what is likely.
        nucleus: of sound: the share of the probability that is drawn from.
        denoised: of sequences: without what the model knows to be noise.
        seed: of the draws.
        device: auto, cpu or cuda.
        out: where to save them, in the form that its ending names (see `save_samples`).
        overwrite: replace the file or the folder of samples at `out`.
        progress: of sound, called with the share that is done.
    """
    opened = opened_run(run)
    if out is not None:
        check_target(out, opened.spec, overwrite=overwrite)
    model = opened.load_model(device)
    special = {"speaker": speaker, "seconds": seconds, "temperature": temperature, "nucleus": nucleus}
    mixture = posterior(opened, model) if prior == "mixture" else None
    samples = drawn(model, n, label, seed, mixture=mixture, progress=progress, denoised=denoised, **special)
    if out is not None:
        kept: dict[str, Any] = {"length": samples.length, "speaker": samples.speaker, "overwrite": overwrite}
        save_samples(out, samples.x, opened.spec, samples.y, **kept)
    return samples


def compare(
    runs: Sequence[RunLike],
    *,
    n: int | None = None,
    seed: int = 0,
    features: str | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> RunComparison:
    """Runs on the same data side by side, by one protocol: see `workflows.compare.compare_runs`."""
    from noiseforge.workflows.compare import compare_runs

    opened = [opened_run(run) for run in runs]
    return compare_runs(opened, n=n, seed=seed, features=features, device=device, out=out, progress=progress)


def diagnose(run: RunLike) -> Diagnosis:
    """Whether a training collapses, diverges or memorises, by its records and its last evaluation."""
    opened = opened_run(run)
    return diagnose_records(opened.records(), last_evaluation(opened), recipe=opened.recipe, spec=opened.spec)


def to_show(run: Run) -> tuple[str, ...]:
    """The words of a command that shows what a run has learned, in a form that suits its data."""
    if run.recipe.model.kind == "classifier":
        return "classify", str(run.path)
    if "mel" in getattr(run.recipe.model, "condition_on", ()):  # a vocoder makes clips anew, and none of its own
        return "reconstruct", str(run.path), "--out", "reconstructions/"
    out = {"audio": "samples/", "sequence": "samples.csv"}.get(run.spec.modality, "samples.png")
    return "sample", str(run.path), "-n", "64", "--out", out


def free_folder(wanted: str | Path) -> Path:
    """`wanted`, or where something is there, the first of wanted-2, wanted-3, ... where nothing is."""
    path = Path(wanted)
    names = (path if i == 1 else path.with_name(f"{path.name}-{i}") for i in count(1))
    return next(name for name in names if not name.exists() or (name.is_dir() and not any(name.iterdir())))


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
    """The resolved recipe and its data. What was found wrong with those is said."""
    resolved = read_recipe(recipe, overrides)
    if data is not None:
        source = data.spec.source if isinstance(data, Data) else str(data)
        resolved = resolved.model_copy(update={"data": resolved.data.model_copy(update={"source": source})})
    if seed is not None:
        resolved = resolved.model_copy(update={"seed": seed})
    if isinstance(data, Data):
        return resolved, data
    loaded = load_data(**resolved.data.model_dump(), on_bad_file=on_bad_file)
    for problem in loaded.problems[:PROBLEMS]:
        logger.warning("%s: %s", loaded.spec.source, problem)
    if (more := len(loaded.problems) - PROBLEMS) > 0:
        logger.warning("%s: %d more, which `noiseforge data` lists", loaded.spec.source, more)
    return resolved, loaded


def _default_folder(recipe: str | Path | Recipe) -> Path:
    """A run goes on in itself; others go to runs/ and the recipe's name."""
    if isinstance(recipe, Recipe):
        raise UserError("out is missing: a recipe that is no file has no name; say out='runs/NAME'")
    return Path(recipe) if is_run(recipe) else Path("runs") / Path(recipe).stem


def _array(x: Tensor, spec: Spec) -> np.ndarray:
    return (in_source_units(x, spec) if spec.modality == "point" else x).numpy()

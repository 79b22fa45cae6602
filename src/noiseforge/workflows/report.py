"""The report of an evaluation: where it lies, what is shown beside the figures, and how it is made again."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from noiseforge.data import Data
from noiseforge.data.folder import OnBadFile
from noiseforge.data.samples import Samples
from noiseforge.errors import UserError
from noiseforge.evaluation.coding_sections import CodingPictures
from noiseforge.evaluation.diagnosis import diagnose
from noiseforge.evaluation.figures import Evaluation
from noiseforge.evaluation.neighbours import nearest_examples
from noiseforge.recipes.load import to_yaml
from noiseforge.training.run import Run
from noiseforge.workflows.subject import RunLike, SamplesLike, is_run, subject_name

SHOWN = 8
"""Samples of each class, and pairs of neighbours, in a report."""


def report_folder(subject: RunLike | SamplesLike, out: str | Path | None = None) -> Path | None:
    """Where a report goes: `out`, in the run, None for arrays, and for files a folder of their own in reports/."""
    if out is not None:
        return Path(out)
    if isinstance(subject, SamplesLike):
        return None
    path = subject.path if isinstance(subject, Run) else Path(subject).expanduser()
    if is_run(subject):
        return path / "report"
    place = path.resolve()
    return Path("reports") / f"{place.stem}-{hashlib.sha256(bytes(place)).hexdigest()[:8]}"


def reproduction(
    subject: RunLike | SamplesLike,
    data: str | Path | Data | None,
    on_bad_file: OnBadFile,
    asked: Mapping[str, Any],
) -> str:
    """What measures the same again: a command, or for arrays and for data that were loaded before, a call.

    Args:
        subject: what is evaluated.
        data: as it was given.
        on_bad_file: as it was given.
        asked: features, metrics, seed and n; None where the default is meant.

    >>> reproduction("s.npy", "my data", "error", {"features": "judge", "metrics": ("fid", "kid"), "n": 9})
    "noiseforge evaluate s.npy --data 'my data' --features judge --metrics fid,kid -n 9"
    >>> reproduction(torch.zeros(2, 2), "ring", "error", {"metrics": ("modes",), "n": 2})
    "noiseforge.evaluate(samples, data='ring', metrics=('modes',), n=2)"
    """
    given = {"data": data, **asked, "on_bad_file": None if on_bad_file == "error" else on_bad_file}
    given = {name: value for name, value in given.items() if value is not None}
    name = subject_name(subject)
    if isinstance(subject, SamplesLike) or isinstance(data, Data):
        shown = {key: "data" if isinstance(value, Data) else repr(value) for key, value in given.items()}
        first = "samples" if isinstance(subject, SamplesLike) else repr(name)
        return f"noiseforge.evaluate({', '.join([first, *(f'{key}={text}' for key, text in shown.items())])})"
    words = ["noiseforge", "evaluate", name]
    for key, value in given.items():
        option = "-n" if key == "n" else f"--{key.replace('_', '-')}"
        words += [option, ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def write(
    folder: Path,
    evaluation: Evaluation,
    samples: Samples,
    real: Data,
    run: Run | None,
    coding: CodingPictures | None = None,
) -> None:
    """Writes the report, with the curves, the recipe and the diagnosis of the run where there is one."""
    from noiseforge.evaluation.report import write_report
    from noiseforge.evaluation.sequence_sections import sequence_sections
    from noiseforge.evaluation.sound_sections import sound_sections

    records = run.records() if run else None
    shown: dict[str, Any] = {}
    if real.spec.modality == "audio":
        shown["shown"] = sound_sections(samples, real)
    elif real.spec.modality == "sequence":
        shown["shown"] = sequence_sections(samples, real)
    else:
        pairs, _, _ = paired(samples.x[:SHOWN], real)
        shown["neighbours"] = (pairs[:, 0], pairs[:, 1])
        shown["by_class"] = _by_class(samples, len(real.spec.classes))
    write_report(
        folder,
        evaluation,
        samples.x,
        real,
        **shown,
        records=records,
        diagnosis=diagnose(records or (), evaluation, recipe=run.recipe, spec=run.spec) if run else None,
        recipe=to_yaml(run.recipe) if run else None,
        coding=coding,
    )


def last_evaluation(run: Run) -> Evaluation | None:
    """The evaluation in the run's report, if there is one.

    Raises:
        UserError: it is damaged.
    """
    path = run.path / "report" / "evaluation.json"
    if not path.is_file():
        return None
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except ValidationError:
        raise UserError(f"{path} is damaged: remove it, or run `noiseforge evaluate` again") from None


def paired(x: Tensor, real: Data) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (n, 2, *shape) of samples and their nearest training examples, distances (n,), indices (n,)."""
    distances, indices = nearest_examples(x.flatten(1), real.train, lambda batch: batch.flatten(1))
    return torch.stack([x, real.train.batch(indices).x], dim=1), distances, indices


def _by_class(samples: Samples, classes: int) -> Tensor | None:
    """(classes, SHOWN, *shape): a row for each class; None without labels or with too few of one."""
    if samples.y is None or int(torch.bincount(samples.y, minlength=classes).min()) < SHOWN:
        return None
    return torch.stack([samples.x[samples.y == label][:SHOWN] for label in range(classes)])

"""What is looked at: a run, a file or folder of samples, or an array; and the real data beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from noiseforge.data import Data, load_data
from noiseforge.data.columns import rescaled
from noiseforge.data.folder import OnBadFile
from noiseforge.data.samples import Samples, as_samples, read_samples, relabelled
from noiseforge.data.source import holds_sound
from noiseforge.data.spec import Batch, Dataset, Spec
from noiseforge.errors import UserError
from noiseforge.training.run import Run

if TYPE_CHECKING:
    from noiseforge.models.model import Model
    from noiseforge.workflows.posterior import Mixture

SOUND = frozenset({"speaker", "seconds", "temperature", "nucleus", "progress"})
SEQUENCE = frozenset({"denoised"})
"""What may be chosen of samples beside their label, by modality."""

RunLike = str | Path | Run
SamplesLike = np.ndarray | Tensor


def is_run(subject: RunLike | SamplesLike) -> bool:
    """Whether it is a run, or a folder that looks like one, whole or damaged."""
    if not isinstance(subject, str | Path):
        return isinstance(subject, Run)
    folder = Path(subject).expanduser()
    return any((folder / name).is_file() for name in ("recipe.yaml", "model.safetensors", "metrics.jsonl"))


def opened_run(run: RunLike) -> Run:
    """The run in a folder."""
    return run if isinstance(run, Run) else Run.open(Path(run).expanduser())


def reference(
    subject: RunLike | SamplesLike, data: str | Path | Data | None, on_bad_file: OnBadFile
) -> tuple[Data, Run | None]:
    """The real data to compare with, in the form that the run's model makes, and the run if it is one.

    Data named by a run are what that was trained on, windows, splits and all.
    """
    run = opened_run(subject) if is_run(subject) else None  # type: ignore[arg-type]
    if isinstance(data, Data):
        return data, run
    if run is not None:
        settings = run.recipe.data.model_dump()
        if data is not None:
            if holds_sound(data) != (run.spec.modality == "audio"):
                ours, theirs = run.spec.modality, load_data(data, on_bad_file=on_bad_file).spec.modality
                raise UserError(
                    f"{run.path} makes {ours} data, and {data} holds {theirs} data: name a source like its own"
                )
            settings["source"] = str(data)
            if run.spec.modality == "image":
                settings |= {"size": run.spec.shape[-1], "channels": run.spec.shape[0]}
            settings["sample_rate"] = run.spec.sample_rate
        return load_data(**settings, on_bad_file=on_bad_file), run
    if isinstance(subject, str | Path) and not Path(subject).expanduser().exists():
        raise UserError(f"{subject} does not exist: expected a run, a folder of pictures or of sound, .npy or .npz")
    if data is None:
        raise UserError("samples are compared with real data: say which, such as --data digits, FOLDER or a RUN")
    if is_run(data):
        return load_data(**opened_run(data).recipe.data.model_dump(), on_bad_file=on_bad_file), None
    return load_data(data, on_bad_file=on_bad_file), None


def subject_samples(
    subject: RunLike | SamplesLike,
    model: Model | None,
    real: Data,
    n: int | None,
    seed: int,
    on_bad_file: OnBadFile,
) -> Samples:
    """Samples drawn from the model of a run, or n of those that are given, by chance.

    Of a model that makes clips anew, n of the test clips, or all where there are fewer.
    """
    spec = real.spec
    if hasattr(model, "resynthesise"):
        return resynthesised(model, real.test, n or 1, seed)[1]
    if model is not None:
        made = relabelled(drawn(model, n or 1, None, seed), model.spec, spec)
        return made._replace(x=rescaled(made.x, made.length, model.spec, spec)) if spec.columns else made
    if isinstance(subject, SamplesLike):
        samples = as_samples(subject, spec)
    else:
        samples = read_samples(subject, spec, on_bad_file=on_bad_file)  # type: ignore[arg-type]
    if n is None or n >= len(samples.x):
        return samples
    kept = torch.randperm(len(samples.x), generator=torch.Generator().manual_seed(seed))[:n]
    return Samples(samples.x[kept], *(None if part is None else part[kept] for part in samples[1:]))


def drawn(
    model: Model, n: int, label: int | str | None, seed: int, *, mixture: Mixture | None = None, **chosen: Any
) -> Samples:
    """n samples of a model and what they were made for; from latents of its prior or of a mixture.

    `chosen` is for models of sound, see `models.wavenet.WaveNet.clips`, and of sequences, see
    `models.latent_recurrent_gan.LatentRecurrentGAN.series`.
    """
    generator = torch.Generator().manual_seed(seed)
    made: Any = model
    given = {name: value for name, value in chosen.items() if value is not None}
    for of, takes, whose in (("clips", SOUND, "sound"), ("series", SEQUENCE, "sequences")):
        if hasattr(made, of):
            _refuse_others(given, takes, whose)
            if mixture is not None:
                given["latents"] = mixture.sample
            samples: Samples = getattr(made, of)(n, label=label, generator=generator, **given)
            return samples
    if not hasattr(made, "sample"):
        raise UserError(f"model.kind={made.settings.kind} makes no samples: see `noiseforge classify`")
    _refuse_others(given, frozenset(), f"{model.spec.modality} data")
    labels = model.labels(n, label)
    if mixture is None:
        return Samples(made.sample(n, label=labels, generator=generator), labels)
    return Samples(made.decode(mixture.sample(n, generator, labels), labels), labels)


def _refuse_others(given: dict[str, Any], takes: frozenset[str], whose: str) -> None:
    """Refuses what belongs to models of another kind of data; where there is no use for progress, leaves it out."""
    if "progress" not in takes:
        given.pop("progress", None)
    if strange := given.keys() - takes:
        owner = "sequences" if strange & SEQUENCE else "sound"
        raise UserError(
            f"{', '.join(sorted(strange))}: for models of {owner}, and this one makes {whose}; leave it out"
        )


def told_others(model: Any, spec: Spec) -> str | None:
    """What a model of sound is told and data have not as it knows them: classes or speakers; None where nothing."""
    told = [name for name in ("classes", "speakers") if getattr(model, name)]
    return next((name for name in told if getattr(model.spec, name) != getattr(spec, name)), None)


def resynthesised(
    model: Any, dataset: Dataset, n: int, seed: int, progress: Callable[[float], None] | None = None
) -> tuple[Batch, Samples]:
    """n clips by chance, or all where there are fewer, and what a model with `resynthesise` makes of them.

    Raises:
        UserError: the model was trained on other labels or speakers than the clips have.
    """
    if name := told_others(model, dataset.spec):
        ours, theirs = model.spec.source, dataset.spec.source
        raise UserError(f"this model is told the {name} of {ours}, and {theirs} has others: take data with those")
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    batch = dataset.batch(order[:n])
    told: dict[str, Any] = {"length": batch.length, "y": batch.y, "speaker": batch.condition}
    generator = torch.Generator().manual_seed(seed)
    return batch, model.resynthesise(batch.x, **told, generator=generator, progress=progress)


def subject_name(subject: RunLike | SamplesLike) -> str:
    """What an evaluation calls its subject."""
    if isinstance(subject, SamplesLike):
        return "samples"
    return str(subject.path if isinstance(subject, Run) else subject)

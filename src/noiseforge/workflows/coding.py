"""What an encoder allows: codes of data, reconstructions, and samples from where the codes really lie."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from noiseforge.data import Data
from noiseforge.data.folder import OnBadFile
from noiseforge.data.pictures import show
from noiseforge.data.samples import Samples
from noiseforge.data.saving import check_pairs, check_picture, save_pairs, save_picture
from noiseforge.data.spec import Batch, Dataset, Spec
from noiseforge.errors import UserError
from noiseforge.models.latent import EncodingModel
from noiseforge.models.model import Model
from noiseforge.objectives.spectral import log_spectral_distance
from noiseforge.training.run import POSTERIOR, Run
from noiseforge.workflows.latent import Encodings, check_encodings_target, encodings, save_encodings
from noiseforge.workflows.measurements import squared_errors
from noiseforge.workflows.posterior import Mixture, fit_mixture
from noiseforge.workflows.subject import RunLike, opened_run, reference, resynthesised

MOST_FITTED = 20_000
"""Training examples that a mixture is fitted on: its cost grows with them, its fit hardly."""


class Codes(NamedTuple):
    """mean and deviation (N, latent) of q(z|x), float32; y (N,) int64 or None."""

    mean: np.ndarray
    deviation: np.ndarray
    y: np.ndarray | None


class Reconstructions(NamedTuple):
    """Examples and what a model makes of them, both (n, *shape); of sound and series the true lengths (n,) int64."""

    examples: np.ndarray
    reconstructions: np.ndarray
    length: np.ndarray | None = None
    sound: bool = False

    def error(self) -> tuple[str, float]:
        """What they are compared by, and how far they are from each other: waveforms of like sound may differ."""
        examples, again = torch.from_numpy(self.examples), torch.from_numpy(self.reconstructions)
        length = None if self.length is None else torch.from_numpy(self.length)
        if not self.sound:
            return "mean squared error", float(squared_errors(examples, again, length).mean())
        distance = log_spectral_distance(again[:, 0], examples[:, 0], length=length)
        return "log-spectral distance in dB", float(distance.mean())


def encode(
    run: RunLike,
    data: str | Path | Data | None = None,
    *,
    part: str = "test",
    n: int | None = None,
    seed: int = 0,
    device: str = "auto",
    on_bad_file: OnBadFile = "error",
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Codes:
    """The codes of data: dimension reduction by a trained model.

    Args:
        run: a run with an encoder, or its folder.
        data: another source than the run's own.
        part: test or train, as the data is split.
        n: so many of them, by chance; None takes all, in the data's order.
        seed: of that choice.
        device: auto, cpu or cuda.
        on_bad_file: "error" or "skip".
        out: a table (.csv: label, means, deviations) or arrays (.npz).
        overwrite: replace the file at `out`.

    Raises:
        UserError: the run has no encoder; the data does not fit it; `out` cannot be written.
    """
    if out is not None:
        check_encodings_target(out, overwrite=overwrite)
    opened = opened_run(run)
    model = _encoding_model(opened, device)
    dataset = _part(_data(opened, data, on_bad_file), part)
    found = encodings(model, dataset, n=n, seed=seed)
    if out is not None:
        save_encodings(out, found, opened.spec.classes, overwrite=overwrite)
    return Codes(found.mean.numpy(), found.deviation.numpy(), None if found.y is None else found.y.numpy())


def reconstruct(
    run: RunLike,
    data: str | Path | Data | None = None,
    *,
    part: str = "test",
    n: int = 32,
    seed: int = 0,
    device: str = "auto",
    on_bad_file: OnBadFile = "error",
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Reconstructions:
    """Random examples beside what a model makes of their codes or, of sound, of their mel frames; as `encode`.

    But `out` is a picture (.png), or of sound a folder of WAVs or one `.wav`, see `data.saving.save_pairs`. `progress`
    is called with the share that is done, where that takes time.
    """
    opened = opened_run(run)
    sound = opened.spec.modality == "audio"
    if out is not None and sound:
        check_pairs(out, opened.spec, overwrite=overwrite)
    elif out is not None:
        check_picture(Path(out), overwrite=overwrite)
    rebuild = _way_back(opened, device)
    dataset = _part(_data(opened, data, on_bad_file), part)
    batch, again = rebuild(dataset, n, seed, progress)
    if out is not None and sound:
        save_pairs(out, Samples(batch.x, length=batch.length), again, opened.spec, overwrite=overwrite)
    elif out is not None:
        pairs = torch.stack([batch.x, again.x], 1).flatten(0, 1)
        options = {} if again.length is None else {"length": again.length.repeat_interleave(2)}
        save_picture(Path(out), show(pairs, opened.spec, columns=2 * max(1, round((n / 2) ** 0.5)), **options))
    length = None if again.length is None else again.length.numpy()
    return Reconstructions(batch.x.numpy(), again.x.numpy(), length, sound)


def posterior(run: Run, model: Model, *, seed: int = 0) -> Mixture:
    """The mixture fitted to the codes of a run's training data; where there is none, it is fitted and kept."""
    path = run.path / POSTERIOR
    if path.is_file():
        return Mixture.load(path)
    encoder = _with_encoder(model, run)
    codes: Encodings = encodings(encoder, _data(run, None, "error").train, n=MOST_FITTED, seed=seed)
    mixture = fit_mixture(codes, classes=model.classes, seed=seed)
    mixture.save(path)
    return mixture


def _way_back(run: Run, device: str) -> Callable[..., tuple[Batch, Samples]]:
    """What takes a data set, n, a seed and `progress`, and gives n examples by chance and what the model makes of them.

    Raises:
        UserError: the model makes nothing of examples.
    """
    model = run.load_model(device)
    if hasattr(model, "resynthesise"):
        return partial(resynthesised, model)
    encoder = _with_encoder(model, run, "; of sound, a wavenet with model.condition_on=[mel]")

    def decoded(dataset: Dataset, n: int, seed: int, progress: Callable[[float], None] | None) -> tuple[Batch, Samples]:
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
        batch = dataset.batch(order[:n])
        again = encoder.reconstruct(batch.x, batch.y if encoder.classes else None, batch.length)
        return batch, Samples(again, length=batch.length)

    return decoded


def _encoding_model(run: Run, device: str) -> EncodingModel:
    return _with_encoder(run.load_model(device), run)


def _with_encoder(model: Model, run: Run, otherwise: str = "") -> EncodingModel:
    if not isinstance(model, EncodingModel):
        kind = run.recipe.model.kind
        raise UserError(f"{run.path} has no encoder (model.kind={kind}): train a vae, aae or vaegan{otherwise}")
    return model


def _data(run: Run, data: str | Path | Data | None, on_bad_file: OnBadFile) -> Data:
    """The run's own data, or other data of the shape, or the sample rate, that its model takes."""
    found, _ = reference(run, data, on_bad_file)
    taken, given = _form(run.spec), _form(found.spec)
    if given != taken:
        raise UserError(f"{run.path} takes {taken}, and {found.spec.source} has {given}")
    return found


def _form(spec: Spec) -> str:
    """What examples must have in common; sound may be of any length."""
    return f"sound at {spec.sample_rate} Hz" if spec.modality == "audio" else f"shape {spec.shape}"


def _part(data: Data, part: str) -> Dataset:
    if part not in ("train", "test"):
        raise UserError(f"part must be train or test, got {part!r}")
    return data.train if part == "train" else data.test

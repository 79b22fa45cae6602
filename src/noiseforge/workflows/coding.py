"""What an encoder allows: codes of data, reconstructions, and samples from where the codes really lie."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from noiseforge.data import Data
from noiseforge.data.folder import OnBadFile
from noiseforge.data.pictures import show
from noiseforge.data.saving import check_picture, save_picture
from noiseforge.data.spec import Dataset
from noiseforge.errors import UserError
from noiseforge.models.latent import EncodingModel
from noiseforge.models.model import Model
from noiseforge.training.run import POSTERIOR, Run
from noiseforge.workflows.latent import Encodings, check_encodings_target, encodings, save_encodings
from noiseforge.workflows.posterior import Mixture, fit_mixture
from noiseforge.workflows.subject import RunLike, opened_run, reference

MOST_FITTED = 20_000
"""Training examples that a mixture is fitted on: its cost grows with them, its fit hardly."""


class Codes(NamedTuple):
    """mean and deviation (N, latent) of q(z|x), float32; y (N,) int64 or None."""

    mean: np.ndarray
    deviation: np.ndarray
    y: np.ndarray | None


class Reconstructions(NamedTuple):
    """Examples and what the decoder makes of their codes, both (n, *shape)."""

    examples: np.ndarray
    reconstructions: np.ndarray


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
) -> Reconstructions:
    """Random examples beside what the decoder makes of their codes; as `encode`, but `out` is a picture (.png)."""
    path = None if out is None else Path(out)
    if path is not None:
        check_picture(path, overwrite=overwrite)
    opened = opened_run(run)
    model = _encoding_model(opened, device)
    dataset = _part(_data(opened, data, on_bad_file), part)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    batch = dataset.batch(order[:n])
    rebuilt = model.reconstruct(batch.x, batch.y)
    if path is not None:
        pairs = torch.stack([batch.x, rebuilt], 1).flatten(0, 1)
        save_picture(path, show(pairs, opened.spec, columns=2 * max(1, round((n / 2) ** 0.5))))
    return Reconstructions(batch.x.numpy(), rebuilt.numpy())


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


def _encoding_model(run: Run, device: str) -> EncodingModel:
    return _with_encoder(run.load_model(device), run)


def _with_encoder(model: Model, run: Run) -> EncodingModel:
    if not isinstance(model, EncodingModel):
        raise UserError(f"{run.path} has no encoder (model.kind={run.recipe.model.kind}): train a vae, aae or vaegan")
    return model


def _data(run: Run, data: str | Path | Data | None, on_bad_file: OnBadFile) -> Data:
    """The run's own data, or other data of the shape that its model takes."""
    found, _ = reference(run, data, on_bad_file)
    if found.spec.shape != run.spec.shape:
        raise UserError(f"{run.path} takes shape {run.spec.shape}, and {found.spec.source} has {found.spec.shape}")
    return found


def _part(data: Data, part: str) -> Dataset:
    if part not in ("train", "test"):
        raise UserError(f"part must be train or test, got {part!r}")
    return data.train if part == "train" else data.test

"""The way between two points of a latent space, and samples along it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.pictures import in_source_units, strip
from noiseforge.data.samples import Samples
from noiseforge.data.saving import check_target, save_picture, save_samples
from noiseforge.errors import UserError
from noiseforge.models.latent import LatentModel
from noiseforge.models.series import SeriesModel
from noiseforge.workflows.subject import RunLike, opened_run


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points on the great circle between two latent vectors, both ends included.

    Draws of a wide normal distribution lie near a sphere; the straight way between two of them crosses a
    region that the model has never seen (White, 2016, Sampling Generative Networks).

    Args:
        start: (D,).
        end: (D,).
        steps: how many points, at least 2.

    Returns:
        (steps, D).

    Raises:
        UserError: fewer than 2 steps.

    >>> spherical(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3)
    tensor([[1.0000, 0.0000],
            [0.7071, 0.7071],
            [0.0000, 1.0000]])
    """
    if steps < 2:
        raise UserError(f"steps must be >= 2, got {steps}")
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    a, b = start.double(), end.double()
    cosine = torch.dot(a, b) / (a.norm() * b.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if torch.sin(angle) < 1e-6:  # parallel: the circle is not defined, or is a point
        return ((1 - t) * a + t * b).to(start.dtype)
    weights = torch.sin((1 - t) * angle), torch.sin(t * angle)
    return ((weights[0] * a + weights[1] * b) / torch.sin(angle)).to(start.dtype)


def linear(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points on the straight way between two latent vectors (D,), both ends included: (steps, D).

    Raises:
        UserError: fewer than 2 steps.
    """
    if steps < 2:
        raise UserError(f"steps must be >= 2, got {steps}")
    return torch.lerp(start, end, torch.linspace(0, 1, steps)[:, None])


def interpolate(
    run: RunLike,
    seed_a: int,
    seed_b: int,
    steps: int,
    *,
    label: int | str | None = None,
    straight: bool = False,
    device: str = "auto",
    out: str | Path | None = None,
    overwrite: bool = False,
) -> np.ndarray:
    """Samples (steps, *shape) on the way from the latent vector of one seed to that of another.

    A conditional model keeps to one class: `label`, or its first. The way is a great circle, or `straight`. `out` is
    a strip (.png), a film (.gif) or an array (.npy).
    """
    opened = opened_run(run)
    model = opened.load_model(device)
    if not isinstance(model, LatentModel):
        kind = opened.recipe.model.kind
        raise UserError(
            f"{opened.path} has no latent space to walk through (model.kind={kind}): take a gan, vae, aae or vaegan"
        )
    if out is not None:
        check_target(out, opened.spec, overwrite=overwrite)
    ends = [model.latent(1, torch.Generator().manual_seed(seed))[0] for seed in (seed_a, seed_b)]
    labels = model.labels(steps, label)
    if labels is not None:
        labels = labels[:1].expand(steps)
    way = linear if straight else spherical
    z = way(ends[0], ends[1], steps)
    made = model.likeliest(z, labels) if isinstance(model, SeriesModel) else Samples(model.decode(z, labels))
    x = made.x
    if out is not None and Path(out).suffix.lower() == ".png" and opened.spec.modality == "image":
        save_picture(Path(out), strip(x))
    elif out is not None:
        save_samples(out, x, opened.spec, length=made.length, overwrite=overwrite)
    return (in_source_units(x, opened.spec) if opened.spec.modality == "point" else x).numpy()

"""Looks at a model while it trains: pictures from fixed noise, and whether it is healthy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noiseforge.data.pictures import show
from noiseforge.data.spec import Batch, Data, Dataset
from noiseforge.errors import Diverged
from noiseforge.evaluation.health import measure
from noiseforge.evaluation.likelihood import active_units
from noiseforge.files import replacing

if TYPE_CHECKING:
    from noiseforge.models.latent import LatentModel

EXAMPLES = 256
"""Samples, training examples and held-out examples of one look."""
SHOWN = 64
"""Pictures in a grid, the same noise every time."""


class Monitor:
    """The same noise and the same real examples at every look, so that looks can be compared."""

    def __init__(self, model: LatentModel, data: Data, folder: Path, seed: int):
        self.model, self.folder, self.seed, self.spec = model, folder, seed, data.spec
        draws = torch.Generator().manual_seed(seed)
        self.real = _some(data.train, draws)
        self.held_out = _some(data.test, draws)

    def look(self, images: int) -> dict[str, float]:
        """Writes `samples/<images>.png`; returns the health of the samples, of the game and of the code, as there are.

        Raises:
            Diverged: samples or logits are not finite.
        """
        samples = self.model.sample(EXAMPLES, generator=torch.Generator().manual_seed(self.seed))
        if not torch.isfinite(samples).all():
            raise Diverged(f"samples became NaN or infinite after {images} images")
        shown = samples if self.spec.modality == "point" else samples[:SHOWN]
        with replacing(self.folder / "samples" / f"{images:010d}.png") as temporary:
            show(shown, self.spec).save(temporary, format="PNG")
        return {**self._health(samples), **self._codes()}

    def _health(self, samples: Tensor) -> dict[str, float]:
        """The health of the samples and, where there is a critic, of the game."""
        critique = getattr(self.model, "critique", None)
        if critique is None:
            return measure(samples, self.real.x)
        return measure(
            samples,
            self.real.x,
            critique(self.real.x, self.real.y),
            critique(samples, self.model.labels(EXAMPLES)),
            held_out_logits=critique(self.held_out.x, self.held_out.y),
        )

    def _codes(self) -> dict[str, float]:
        """How much of a model's code is in use; nothing of a model without an encoder."""
        encode = getattr(self.model, "encode", None)
        if encode is None:
            return {}
        means = encode(self.held_out.x, self.held_out.y).mean
        return {"active_units": active_units(means), "latent": means.shape[1]}


def _some(dataset: Dataset, draws: torch.Generator) -> Batch:
    return dataset.batch(torch.randperm(len(dataset), generator=draws)[:EXAMPLES])

"""Looks at a model while it trains: samples from fixed noise, and whether it is healthy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from noiseforge.data.pictures import show
from noiseforge.data.samples import Samples
from noiseforge.data.saving import save_samples
from noiseforge.data.spec import Batch, Data, Dataset
from noiseforge.errors import Diverged
from noiseforge.evaluation.health import measure
from noiseforge.evaluation.hearing import ear_of
from noiseforge.evaluation.likelihood import active_units
from noiseforge.files import replacing

if TYPE_CHECKING:
    from noiseforge.models.model import Model

EXAMPLES = 256
"""Samples, training examples and held-out examples of one look."""
CLIPS = 16
"""The same, of sound, which is made a value at a time."""
SHOWN = 64
"""Pictures in a grid, the same noise every time."""


class Monitor:
    """The same noise and the same real examples at every look, so that looks can be compared."""

    def __init__(self, model: Model, data: Data, folder: Path, seed: int):
        self.model: Any = model
        self.folder, self.seed, self.spec = folder, seed, data.spec
        self.count = CLIPS if data.spec.modality == "audio" else EXAMPLES
        draws = torch.Generator().manual_seed(seed)
        self.real = _some(data.train, self.count, draws)
        self.held_out = _some(data.test, self.count, draws)
        self._seen = _view(data)

    def look(self, images: int) -> dict[str, float]:
        """Writes `samples/<images>.png`, and sound beside it; returns the health of samples, game and code.

        Raises:
            Diverged: samples or logits are not finite.
        """
        samples = self._drawn()
        if not torch.isfinite(samples.x).all():
            raise Diverged(f"samples became NaN or infinite after {images} {self.spec.examples}")
        seen, name = self._seen(samples.x, samples.length), f"{images:010d}"
        shown = seen if self.spec.modality == "point" else seen[:SHOWN]
        if self.spec.modality == "audio":
            shown = shown.flip(2)  # high notes above
        with replacing(self.folder / "samples" / f"{name}.png") as temporary:
            show(shown, self.spec).save(temporary, format="PNG")
        if self.spec.modality == "audio":
            sound = self.folder / "samples" / f"{name}.wav"
            save_samples(sound, samples.x, self.spec, length=samples.length, overwrite=True)
        return {**self._health(seen), **self._codes()}

    def _drawn(self) -> Samples:
        """Samples from the same noise every time; of a model that makes clips anew, held-out clips."""
        generator = torch.Generator().manual_seed(self.seed)
        resynthesise = getattr(self.model, "resynthesise", None)
        if resynthesise is not None:
            x, y, length, speaker = self.held_out
            return resynthesise(x, length, y, speaker, generator=generator)
        clips = getattr(self.model, "clips", None)
        if clips is not None:
            return clips(self.count, generator=generator)
        return Samples(self.model.sample(self.count, generator=generator))

    def _health(self, samples: Tensor) -> dict[str, float]:
        """The health of the samples and, where there is a critic, of the game."""
        critique = getattr(self.model, "critique", None)
        if critique is None:
            return measure(samples, self._seen(self.real.x, self.real.length))
        return measure(
            samples,
            self.real.x,
            critique(self.real.x, self.real.y),
            critique(samples, self.model.labels(self.count)),
            held_out_logits=critique(self.held_out.x, self.held_out.y),
        )

    def _codes(self) -> dict[str, float]:
        """How much of a model's code is in use; nothing of a model without an encoder."""
        encode = getattr(self.model, "encode", None)
        if encode is None:
            return {}
        means = encode(self.held_out.x, self.held_out.y).mean
        return {"active_units": active_units(means), "latent": means.shape[1]}


def _view(data: Data) -> Callable[[Tensor, Tensor | None], Tensor]:
    """What examples and their lengths are looked at as: sound as spectrograms, the rest as it is."""
    return ear_of(data) if data.spec.modality == "audio" else lambda x, length: x


def _some(dataset: Dataset, count: int, draws: torch.Generator) -> Batch:
    return dataset.batch(torch.randperm(len(dataset), generator=draws)[:count])

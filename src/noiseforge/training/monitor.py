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
from noiseforge.evaluation.sequence_view import view
from noiseforge.files import replacing

if TYPE_CHECKING:
    from noiseforge.models.model import Model

EXAMPLES = 256
"""Samples, training examples and held-out examples of one look."""
CLIPS = 16
"""The same, of sound, which is made a value at a time."""
SHOWN = 64
"""Pictures in a grid, the same noise every time."""
SHOWN_SERIES = 8
"""The same, of series, each of which is a plot of its own and takes as long to draw."""


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

    def look(self, images: int) -> dict[str, Any]:
        """Writes `samples/<images>.png`, and sound beside it; returns the health of samples, game and code.

        A model that makes no samples tells its health itself.

        Raises:
            Diverged: samples or logits are not finite.
        """
        health = getattr(self.model, "health", None)
        if health is not None:
            told: dict[str, Any] = health(self.held_out)
            return told
        samples = self._drawn()
        if not self._finite(samples.x):
            raise Diverged(f"samples became NaN or infinite after {images} {self.spec.examples}")
        seen, name = self._seen(samples.x, samples.length), f"{images:010d}"
        shown, options = seen if self.spec.modality == "point" else seen[:SHOWN], {}
        if self.spec.modality == "audio":
            shown = shown.flip(2)  # high notes above
        if self.spec.modality == "sequence":
            shown, options = samples.x[:SHOWN_SERIES], {"length": samples.length}
        with replacing(self.folder / "samples" / f"{name}.png") as temporary:
            show(shown, self.spec, **options).save(temporary, format="PNG")
        if self.spec.modality == "audio":
            sound = self.folder / "samples" / f"{name}.wav"
            save_samples(sound, samples.x, self.spec, length=samples.length, overwrite=True)
        return {**self._health(samples, seen), **self._codes()}

    def _drawn(self) -> Samples:
        """Samples from the same noise every time; of a model that makes clips anew, held-out clips."""
        generator = torch.Generator().manual_seed(self.seed)
        resynthesise = getattr(self.model, "resynthesise", None)
        if resynthesise is not None:
            x, y, length, speaker = self.held_out
            return resynthesise(x, length, y, speaker, generator=generator)
        several = getattr(self.model, "clips", None) or getattr(self.model, "series", None)
        if several is not None:
            return several(self.count, generator=generator)
        return Samples(self.model.sample(self.count, generator=generator))

    def _finite(self, x: Tensor) -> bool:
        """Whether samples hold numbers. In sequences a NaN says that a value is missing, but not that all are."""
        if self.spec.modality == "sequence":
            return bool(not x.isinf().any() and not x.isnan().flatten(1).all(1).any())
        return bool(torch.isfinite(x).all())

    def _health(self, samples: Samples, seen: Tensor) -> dict[str, float]:
        """The health of the samples and, where there is a critic, of the game."""
        real = self._seen(self.real.x, self.real.length)
        critique = getattr(self.model, "critique", None)
        if critique is None:
            return measure(seen, real)
        return measure(
            seen,
            real,
            critique(*self.real[:3]),
            critique(samples.x, self.model.labels(self.count), samples.length),
            held_out_logits=critique(*self.held_out[:3]),
        )

    def _codes(self) -> dict[str, float]:
        """How much of a model's code is in use; nothing of a model without an encoder."""
        encode = getattr(self.model, "encode", None)
        if encode is None:
            return {}
        means = encode(*self.held_out[:3]).mean
        return {"active_units": active_units(means), "latent": means.shape[1]}


def _view(data: Data) -> Callable[[Tensor, Tensor | None], Tensor]:
    """What examples and their lengths are looked at as: sound as spectrograms, series without gaps, others as is."""
    if data.spec.modality == "audio":
        return ear_of(data)
    if data.spec.modality == "sequence":
        return lambda x, length: view(x, length, data.spec)
    return lambda x, length: x


def _some(dataset: Dataset, count: int, draws: torch.Generator) -> Batch:
    return dataset.batch(torch.randperm(len(dataset), generator=draws)[:count])

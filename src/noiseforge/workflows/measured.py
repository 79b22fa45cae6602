"""Samples measured against real data by what fits their modality, and what their model predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from noiseforge.data import Data
from noiseforge.data.samples import Samples
from noiseforge.evaluation.evaluate import evaluate_samples
from noiseforge.evaluation.figures import Evaluation

if TYPE_CHECKING:
    from noiseforge.models.model import Model


def measured(samples: Samples, real: Data, **asked: Any) -> Evaluation:
    """The figures of samples, which of sound are those of its spectrograms and of the sound itself.

    Args:
        samples: in model units, with what they were made for.
        real: the real data.
        **asked: see `evaluation.evaluate.evaluate_samples`.
    """
    if real.spec.modality == "audio":
        from noiseforge.evaluation.sound_metrics import evaluate_sound

        return evaluate_sound(samples, real, **asked)
    return evaluate_samples(samples.x, real, labels=samples.y, **asked)


def with_bits(
    evaluation: Evaluation, model: Model, real: Data, *, seed: int, progress: Callable[[str, float], None] | None
) -> Evaluation:
    """The evaluation, and how well the model predicts held-out sound, if it predicts any."""
    if not hasattr(model, "nats"):
        return evaluation
    from noiseforge.evaluation.bits import bits_figures, rounding_figures

    tell = progress or (lambda stage, share: None)
    figures = bits_figures(model, real, seed=seed, progress=lambda share: tell("predicting held-out clips", share))
    figures += rounding_figures(model, real, seed=seed)
    return evaluation.model_copy(update={"figures": (*evaluation.figures, *figures)})

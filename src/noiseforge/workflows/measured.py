"""Samples measured against real data by what fits their modality, and what their model predicts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from noiseforge.data import Data
from noiseforge.data.samples import Samples
from noiseforge.evaluation.evaluate import evaluate_samples
from noiseforge.evaluation.figures import Evaluation
from noiseforge.workflows.subject import told_others

if TYPE_CHECKING:
    from noiseforge.models.model import Model

logger = logging.getLogger(__name__)


def measured(samples: Samples, real: Data, **asked: Any) -> Evaluation:
    """The figures of samples, of sound those of its spectrograms and of the sound itself, of series their own.

    Args:
        samples: in model units, with what they were made for.
        real: the real data.
        **asked: see `evaluation.evaluate.evaluate_samples`.
    """
    if real.spec.modality == "audio":
        from noiseforge.evaluation.sound_metrics import evaluate_sound

        return evaluate_sound(samples, real, **asked)
    if real.spec.modality == "sequence":
        from noiseforge.evaluation.sequence_metrics import evaluate_series

        return evaluate_series(samples, real, **asked)
    return evaluate_samples(samples.x, real, labels=samples.y, **asked)


def with_origin(evaluation: Evaluation, model: Model | None) -> Evaluation:
    """The evaluation, whose figures say so where their samples are test clips that the model has made anew."""
    if not hasattr(model, "resynthesise"):
        return evaluation
    origin = "the samples are test clips, made anew from their mel frames"
    figures = (
        figure.model_copy(update={"note": "; ".join(filter(None, (figure.note, origin)))}) if figure.n_fake else figure
        for figure in evaluation.figures
    )
    return evaluation.model_copy(update={"figures": tuple(figures)})


def with_bits(
    evaluation: Evaluation, model: Model, real: Data, *, seed: int, progress: Callable[[str, float], None] | None
) -> Evaluation:
    """The evaluation, and how well the model predicts held-out sound, if it predicts any."""
    if not hasattr(model, "nats"):
        return evaluation
    if name := told_others(model, real.spec):
        logger.warning("bits are left out: %s has not the %s that the model knows", real.spec.source, name)
        return evaluation
    from noiseforge.evaluation.bits import bits_figures, rounding_figures

    tell = progress or (lambda stage, share: None)
    figures = bits_figures(model, real, seed=seed, progress=lambda share: tell("predicting held-out clips", share))
    figures += rounding_figures(model, real, seed=seed)
    return evaluation.model_copy(update={"figures": (*evaluation.figures, *figures)})

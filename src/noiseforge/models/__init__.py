"""First floor: a model is networks, the players that train them, and ways to sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from noiseforge.data.spec import Spec
    from noiseforge.models.gan import GAN
    from noiseforge.recipes.schema import GANSettings


def build_model(settings: GANSettings, spec: Spec, rng: torch.Generator) -> GAN:
    """The model that a recipe's `model` section describes, for the data that `spec` describes."""
    from noiseforge.models.gan import GAN

    models = {"gan": GAN}
    return models[settings.kind](settings, spec, rng)

"""First floor: a model is networks, the players that train them, and ways to sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from noiseforge.data.spec import Spec
    from noiseforge.models.latent import LatentModel
    from noiseforge.recipes.schema import AAESettings, GANSettings, VAEGANSettings, VAESettings


def build_model(
    settings: GANSettings | VAESettings | AAESettings | VAEGANSettings, spec: Spec, rng: torch.Generator
) -> LatentModel:
    """The model that a recipe's `model` section describes, for the data that `spec` describes."""
    from noiseforge.models.adversarial_autoencoder import AAE
    from noiseforge.models.gan import GAN
    from noiseforge.models.vae import VAE
    from noiseforge.models.vaegan import VAEGAN

    models: dict[str, type] = {"gan": GAN, "vae": VAE, "aae": AAE, "vaegan": VAEGAN}
    return models[settings.kind](settings, spec, rng)

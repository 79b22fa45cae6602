"""First floor: a model is networks, the players that train them, and ways to sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from noiseforge.data.spec import Spec
    from noiseforge.models.model import Model
    from noiseforge.recipes.schema import ModelSettings


def build_model(settings: ModelSettings, spec: Spec, rng: torch.Generator) -> Model:
    """The model that a recipe's `model` section describes, for the data that `spec` describes."""
    from noiseforge.models.adversarial_autoencoder import AAE
    from noiseforge.models.gan import GAN
    from noiseforge.models.vae import VAE
    from noiseforge.models.vaegan import VAEGAN
    from noiseforge.models.vocoder import Vocoder
    from noiseforge.models.wavenet import WaveNet

    wavenet = Vocoder if "mel" in getattr(settings, "condition_on", ()) else WaveNet
    models: dict[str, type] = {"gan": GAN, "vae": VAE, "aae": AAE, "vaegan": VAEGAN, "wavenet": wavenet}
    return models[settings.kind](settings, spec, rng)

"""First floor: a model is networks, the players that train them, and ways to sample."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from noiseforge.data.spec import Spec
    from noiseforge.models.model import Model
    from noiseforge.recipes.schema import ModelSettings


MODELS = {
    "gan": "gan.GAN",
    "vae": "vae.VAE",
    "aae": "adversarial_autoencoder.AAE",
    "vaegan": "vaegan.VAEGAN",
    "wavenet": "wavenet.WaveNet",
    "vocoder": "vocoder.Vocoder",
    "latent_rgan": "latent_recurrent_gan.LatentRecurrentGAN",
    "rgan": "recurrent_gan.RecurrentGAN",
    "rvae": "recurrent_vae.RecurrentVAE",
    "classifier": "classifier.Classifier",
}
"""Where the model of each kind lives; only the one that is built is imported."""


def build_model(settings: ModelSettings, spec: Spec, rng: torch.Generator) -> Model:
    """The model that a recipe's `model` section describes, for the data that `spec` describes."""
    kind = "vocoder" if "mel" in getattr(settings, "condition_on", ()) else settings.kind
    module, name = MODELS[kind].split(".")
    model: Model = getattr(import_module(f"noiseforge.models.{module}"), name)(settings, spec, rng)
    return model

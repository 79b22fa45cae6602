"""From settings and a Spec to the two players of an adversarial model, with weights drawn from a seed."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.networks.image import DCGANDiscriminator, DCGANGenerator
from noiseforge.networks.mlp import MLPDiscriminator, MLPGenerator
from noiseforge.networks.residual import ResidualDiscriminator, ResidualGenerator
from noiseforge.recipes.schema import GANSettings, NetworkSettings

Generator = MLPGenerator | DCGANGenerator | ResidualGenerator
Discriminator = MLPDiscriminator | DCGANDiscriminator | ResidualDiscriminator
Built = TypeVar("Built", Generator, Discriminator)


def build_generator(settings: GANSettings, spec: Spec, rng: torch.Generator) -> Generator:
    """A network from (z (N, latent), y (N,) or None) to examples (N, *shape).

    Args:
        settings: what to build; where no width is given, mlp has 128 and 256, dcgan and residual 32.
        spec: what an example is; mlp ends in tanh where that lies in [-1, 1], dcgan always, residual never.
        rng: draws all weights; the global random state stays as it is.

    Raises:
        UserError: the network cannot make this data, or a setting is given that it does not use.
    """
    return _initialised(chosen_network(settings, spec).generator, settings, spec, rng)


def build_discriminator(settings: GANSettings, spec: Spec, rng: torch.Generator) -> Discriminator:
    """A network from (x (N, packing·shape[0], ...), y (N,) or None) to logits (N,); `features(x)` is (N, F).

    Args:
        settings: what to build; where no width is given, mlp has 256 and 128, dcgan and residual 32.
        spec: what an example is.
        rng: draws all weights; the global random state stays as it is.

    Raises:
        UserError: the network cannot judge this data, or a setting is given that it does not use.
    """
    return _initialised(chosen_network(settings, spec).discriminator, settings, spec, rng)


def _mlp_generator(settings: GANSettings, spec: Spec) -> Generator:
    chosen = settings.generator
    return MLPGenerator(
        spec.shape,
        settings.latent,
        hidden=chosen.hidden or (128, 256),
        classes=_classes(settings, spec),
        norm=chosen.norm,
        activation=chosen.activation,
        bounded=spec.value_range == (-1.0, 1.0),
    )


def _mlp_discriminator(settings: GANSettings, spec: Spec) -> Discriminator:
    chosen = settings.discriminator
    return MLPDiscriminator(
        spec.shape,
        hidden=chosen.hidden or (256, 128),
        classes=_classes(settings, spec),
        norm=chosen.norm,
        activation=chosen.activation,
        fourier=chosen.fourier,
        minibatch_std=chosen.minibatch_std,
        packing=settings.packing,
    )


def _dcgan_generator(settings: GANSettings, spec: Spec) -> Generator:
    chosen = settings.generator
    return DCGANGenerator(
        _image_shape(spec),
        settings.latent,
        width=chosen.width or 32,
        max_width=chosen.max_width,
        classes=_classes(settings, spec),
        norm=chosen.norm,
        activation=chosen.activation,
    )


def _dcgan_discriminator(settings: GANSettings, spec: Spec) -> Discriminator:
    chosen = settings.discriminator
    return DCGANDiscriminator(
        _image_shape(spec),
        width=chosen.width or 32,
        max_width=chosen.max_width,
        classes=_classes(settings, spec),
        norm=chosen.norm,
        activation=chosen.activation,
        minibatch_std=chosen.minibatch_std,
        packing=settings.packing,
    )


def _residual_generator(settings: GANSettings, spec: Spec) -> Generator:
    chosen = settings.generator
    return ResidualGenerator(
        _image_shape(spec),
        settings.latent,
        width=chosen.width or 32,
        max_width=chosen.max_width,
        blocks=chosen.blocks,
        group_width=chosen.group_width,
        classes=_classes(settings, spec),
    )


def _residual_discriminator(settings: GANSettings, spec: Spec) -> Discriminator:
    chosen = settings.discriminator
    return ResidualDiscriminator(
        _image_shape(spec),
        width=chosen.width or 32,
        max_width=chosen.max_width,
        blocks=chosen.blocks,
        group_width=chosen.group_width,
        classes=_classes(settings, spec),
        norm=chosen.norm,
        packing=settings.packing,
    )


class Network(NamedTuple):
    """A kind of network: its two builders, and the NetworkSettings that each uses."""

    generator: Callable[[GANSettings, Spec], Generator]
    discriminator: Callable[[GANSettings, Spec], Discriminator]
    generator_uses: frozenset[str]
    discriminator_uses: frozenset[str]


_RESIDUAL = frozenset({"width", "max_width", "blocks", "group_width"})

NETWORKS: dict[str, Network] = {
    "mlp": Network(
        _mlp_generator,
        _mlp_discriminator,
        generator_uses=frozenset({"hidden", "norm", "activation"}),
        discriminator_uses=frozenset({"hidden", "norm", "activation", "fourier", "minibatch_std"}),
    ),
    "dcgan": Network(
        _dcgan_generator,
        _dcgan_discriminator,
        generator_uses=frozenset({"width", "max_width", "norm", "activation"}),
        discriminator_uses=frozenset({"width", "max_width", "norm", "activation", "minibatch_std"}),
    ),
    "residual": Network(
        _residual_generator,
        _residual_discriminator,
        generator_uses=_RESIDUAL,
        discriminator_uses=_RESIDUAL | {"norm"},
    ),
}


def chosen_network(settings: GANSettings, spec: Spec) -> Network:
    """The kind of network that the settings choose, not built yet.

    Raises:
        UserError: it cannot make or judge this data, or a setting is given that it does not use.
    """
    if settings.network != "mlp" and spec.modality != "image":
        raise UserError(f"network={settings.network} makes images, {spec.source} holds {spec.modality} data: take mlp")
    network = NETWORKS[settings.network]
    _refuse_unused("generator", settings.generator, settings.network, network.generator_uses)
    _refuse_unused("discriminator", settings.discriminator, settings.network, network.discriminator_uses)
    return network


def _initialised(
    build: Callable[[GANSettings, Spec], Built], settings: GANSettings, spec: Spec, rng: torch.Generator
) -> Built:
    # Layers draw from the global state as they are made. It is put back, and every weight is drawn anew.
    with torch.random.fork_rng(devices=[]):
        network = build(settings, spec)
    network.initialise(rng)
    return network


def _refuse_unused(player: str, chosen: NetworkSettings, network: str, used: frozenset[str]) -> None:
    for name, field in NetworkSettings.model_fields.items():
        if name not in used and getattr(chosen, name) != field.default:
            given = f"{player}.{name}={getattr(chosen, name)!r}"
            raise UserError(
                f"{given} means nothing to network={network}: leave it out; it has {', '.join(sorted(used))}"
            )


def _classes(settings: GANSettings, spec: Spec) -> int:
    if settings.conditional and not spec.classes:
        raise UserError(f"conditional=true needs labels, and {spec.source} has none: set conditional=false")
    return len(spec.classes) if settings.conditional else 0


def _image_shape(spec: Spec) -> tuple[int, int, int]:
    channels, height, width = spec.shape
    if height != width:
        raise UserError(f"convolutional networks need square images, got {height} x {width}: set data.size")
    return channels, height, width

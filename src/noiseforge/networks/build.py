"""From settings and a Spec to the networks of a model, with weights drawn from a seed."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.networks.blocks import CodeHead, Head
from noiseforge.networks.image import DCGANDiscriminator, DCGANGenerator
from noiseforge.networks.mlp import MLPDiscriminator, MLPGenerator
from noiseforge.networks.residual import ResidualDiscriminator, ResidualGenerator
from noiseforge.recipes.player_settings import NetworkSettings
from noiseforge.recipes.schema import AdversarialSettings, CodingSettings, VAEGANSettings

Generator = MLPGenerator | DCGANGenerator | ResidualGenerator
Discriminator = MLPDiscriminator | DCGANDiscriminator | ResidualDiscriminator
Built = TypeVar("Built", Generator, Discriminator)


def build_generator(settings: AdversarialSettings, spec: Spec, rng: torch.Generator) -> Generator:
    """A network from (z (N, latent), y (N,) or None) to examples (N, *shape).

    Args:
        settings: what to build; where no width is given, mlp has 128 and 256, dcgan and residual 32.
        spec: what an example is; mlp ends in tanh where that lies in [-1, 1], dcgan always, residual never.
        rng: draws all weights; the global random state stays as it is.

    Raises:
        UserError: the network cannot make this data, or a setting is given that it does not use.
    """
    bounded = settings.network == "dcgan" or spec.value_range == (-1.0, 1.0)
    latent = settings.latent + settings.latent_categories
    ends = Ends(_shape(settings.network, spec), _classes(settings.conditional, spec), latent, bounded=bounded)
    return _generator("generator", settings.network, settings.generator, ends, rng)


def build_discriminator(settings: AdversarialSettings, spec: Spec, rng: torch.Generator) -> Discriminator:
    """A network from (x (N, packing·shape[0], ...), y (N,) or None) to logits (N,); `features(x)` is (N, F).

    Args:
        settings: what to build; where no width is given, mlp has 256 and 128, dcgan and residual 32.
        spec: what an example is.
        rng: draws all weights; the global random state stays as it is.

    Raises:
        UserError: the network cannot judge this data, or a setting is given that it does not use.
    """
    ends = Ends(_shape(settings.network, spec), _classes(settings.conditional, spec), packing=settings.packing)
    return _discriminator("discriminator", settings.network, settings.discriminator, ends, rng)


def build_decoder(settings: CodingSettings, spec: Spec, outputs: int, rng: torch.Generator) -> Generator:
    """As `build_generator`, to `outputs` unbounded numbers for each value: (N, outputs·shape[0], ...)."""
    channels, *sides = _shape(settings.network, spec)
    shape = (outputs * channels, *sides)
    ends = Ends(shape, _classes(settings.conditional, spec), settings.latent, bounded=False)
    return _generator("decoder", settings.network, settings.decoder, ends, rng)


def build_encoder(settings: CodingSettings | VAEGANSettings, spec: Spec, rng: torch.Generator) -> Discriminator:
    """As `build_discriminator`, to means and log-variances side by side: (N, 2·latent)."""
    classes = _classes(settings.conditional, spec)

    def head(features: int) -> CodeHead:
        return CodeHead(features, classes, 2 * settings.latent)

    ends = Ends(_shape(settings.network, spec), head=head)
    return _discriminator("encoder", settings.network, settings.encoder, ends, rng)


def build_code_discriminator(chosen: NetworkSettings, latent: int, classes: int, rng: torch.Generator) -> Discriminator:
    """A network from codes (N, latent), and labels (N,) if there are classes, to logits (N,): an mlp."""
    return _discriminator("discriminator", "mlp", chosen, Ends((latent,), classes), rng)


class Ends(NamedTuple):
    """What a network stands between."""

    shape: tuple[int, ...]
    classes: int = 0
    latent: int = 0
    bounded: bool = True
    packing: int = 1
    head: Head | None = None


def _mlp_generator(chosen: NetworkSettings, ends: Ends) -> Generator:
    return MLPGenerator(
        ends.shape,
        ends.latent,
        hidden=chosen.hidden or (128, 256),
        classes=ends.classes,
        norm=chosen.norm,
        activation=chosen.activation,
        bounded=ends.bounded,
    )


def _mlp_discriminator(chosen: NetworkSettings, ends: Ends) -> Discriminator:
    return MLPDiscriminator(
        ends.shape,
        hidden=chosen.hidden or (256, 128),
        classes=ends.classes,
        norm=chosen.norm,
        activation=chosen.activation,
        fourier=chosen.fourier,
        minibatch_std=chosen.minibatch_std,
        packing=ends.packing,
        head=ends.head,
    )


def _dcgan_generator(chosen: NetworkSettings, ends: Ends) -> Generator:
    return DCGANGenerator(
        ends.shape,  # type: ignore[arg-type]
        ends.latent,
        width=chosen.width or 32,
        max_width=chosen.max_width,
        classes=ends.classes,
        norm=chosen.norm,
        activation=chosen.activation,
        bounded=ends.bounded,
    )


def _dcgan_discriminator(chosen: NetworkSettings, ends: Ends) -> Discriminator:
    return DCGANDiscriminator(
        ends.shape,  # type: ignore[arg-type]
        width=chosen.width or 32,
        max_width=chosen.max_width,
        classes=ends.classes,
        norm=chosen.norm,
        activation=chosen.activation,
        minibatch_std=chosen.minibatch_std,
        packing=ends.packing,
        head=ends.head,
    )


def _residual_generator(chosen: NetworkSettings, ends: Ends) -> Generator:
    return ResidualGenerator(
        ends.shape,  # type: ignore[arg-type]
        ends.latent,
        width=chosen.width or 32,
        max_width=chosen.max_width,
        blocks=chosen.blocks,
        group_width=chosen.group_width,
        classes=ends.classes,
    )


def _residual_discriminator(chosen: NetworkSettings, ends: Ends) -> Discriminator:
    return ResidualDiscriminator(
        ends.shape,  # type: ignore[arg-type]
        width=chosen.width or 32,
        max_width=chosen.max_width,
        blocks=chosen.blocks,
        group_width=chosen.group_width,
        classes=ends.classes,
        norm=chosen.norm,
        packing=ends.packing,
        head=ends.head,
    )


class Network(NamedTuple):
    """A kind of network: its two builders, and the NetworkSettings that each uses."""

    generator: Callable[[NetworkSettings, Ends], Generator]
    discriminator: Callable[[NetworkSettings, Ends], Discriminator]
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


def _generator(name: str, network: str, chosen: NetworkSettings, ends: Ends, rng: torch.Generator) -> Generator:
    kind = NETWORKS[network]
    _refuse_unused(name, chosen, network, kind.generator_uses)
    return _initialised(kind.generator, chosen, ends, rng)


def _discriminator(name: str, network: str, chosen: NetworkSettings, ends: Ends, rng: torch.Generator) -> Discriminator:
    kind = NETWORKS[network]
    _refuse_unused(name, chosen, network, kind.discriminator_uses)
    return _initialised(kind.discriminator, chosen, ends, rng)


def _initialised(
    build: Callable[[NetworkSettings, Ends], Built], chosen: NetworkSettings, ends: Ends, rng: torch.Generator
) -> Built:
    # Layers draw from the global state as they are made. It is put back, and every weight is drawn anew.
    with torch.random.fork_rng(devices=[]):
        network = build(chosen, ends)
    network.initialise(rng)
    return network


def _refuse_unused(player: str, chosen: NetworkSettings, network: str, used: frozenset[str]) -> None:
    for name, field in NetworkSettings.model_fields.items():
        if name not in used and getattr(chosen, name) != field.default:
            given = f"{player}.{name}={getattr(chosen, name)!r}"
            raise UserError(
                f"{given} means nothing to network={network}: leave it out; it has {', '.join(sorted(used))}"
            )


def _classes(conditional: bool, spec: Spec) -> int:
    if conditional and not spec.classes:
        raise UserError(f"conditional=true needs labels, and {spec.source} has none: set conditional=false")
    return len(spec.classes) if conditional else 0


def _shape(network: str, spec: Spec) -> tuple[int, ...]:
    """The shape of an example, if this kind of network can make and judge it."""
    if spec.modality == "audio":
        raise UserError(
            f"{spec.source} holds sound, for which there is model.kind=wavenet: take audio/tones or another"
        )
    if spec.modality == "sequence":
        raise UserError(
            f"{spec.source} holds sequences, for which there are model.kind=latent_rgan, rgan, rvae and classifier: "
            f"take a recipe of sequence/"
        )
    if network == "mlp":
        return spec.shape
    if spec.modality != "image":
        raise UserError(f"network={network} makes images, {spec.source} holds {spec.modality} data: take mlp")
    _, height, width = spec.shape
    if height != width:
        raise UserError(f"convolutional networks need square images, got {height} x {width}: set data.size")
    return spec.shape

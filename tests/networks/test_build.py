import pytest
import torch
from torch import Tensor, nn

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.networks.blocks import pack
from noiseforge.networks.build import NETWORKS, build_discriminator, build_generator
from noiseforge.networks.mlp import FourierFeatures
from noiseforge.objectives.penalties import gradient_norm_squared
from noiseforge.recipes.schema import GANSettings

SMALL = {
    "mlp": {"hidden": (16, 16)},
    "dcgan": {"width": 4, "max_width": 16},
    "residual": {"width": 8, "max_width": 16, "group_width": 8},
}
VARIANTS = [
    ("mlp", {"activation": "maxout", "minibatch_std": True}),
    ("mlp", {"norm": "spectral", "fourier": 1.0}),
    ("mlp", {"norm": "batch", "activation": "tanh"}),
    ("dcgan", {"minibatch_std": True, "activation": "relu"}),
    ("dcgan", {"norm": "spectral", "activation": "maxout"}),
    ("dcgan", {"norm": "batch"}),
    ("residual", {}),
    ("residual", {"norm": "spectral", "blocks": 2}),
]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def image_spec(channels: int = 1, size: int = 12, classes: int = 0, **changes: object) -> Spec:
    names = tuple(map(str, range(classes)))
    fields = {"source": "made", "modality": "image", "shape": (channels, size, size), "fingerprint": "-"}
    return Spec(**{**fields, "classes": names, **changes})


def gan_settings(network: str, discriminator: dict | None = None, **changes: object) -> GANSettings:
    small = SMALL[network]
    return GANSettings(
        network=network,
        loss="hinge",
        latent=6,
        generator=small,
        discriminator={**small, **(discriminator or {})},
        **changes,
    )


def players(settings: GANSettings, spec: Spec, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    generator = rng(seed)
    return build_generator(settings, spec, generator), build_discriminator(settings, spec, generator)


def latents(count: int) -> Tensor:
    return torch.randn(count, 6, generator=rng(5))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 12, 28, 32, 33, 64, 256])
def test_shapes_fit_every_size_and_number_of_channels(network: str, channels: int, size: int) -> None:
    generator, discriminator = players(gan_settings(network), image_spec(channels, size))
    x = generator(latents(2))
    assert x.shape == (2, channels, size, size)
    assert discriminator(x).shape == (2,)
    assert discriminator.features(x).flatten(1).shape == discriminator.features(x).shape
    assert network == "residual" or x.abs().max() <= 1


@pytest.mark.parametrize(("network", "variant"), VARIANTS)
@pytest.mark.parametrize("conditional", [False, True])
def test_every_weight_comes_from_the_seed_alone(network: str, variant: dict, conditional: bool) -> None:
    settings, spec = gan_settings(network, variant, conditional=conditional), image_spec(classes=3)
    states = []
    for global_seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(global_seed)
            before = torch.get_rng_state()
            states.append([player.state_dict() for player in players(settings, spec)])
            assert torch.equal(before, torch.get_rng_state())
    for first, second in zip(*states, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    other = players(settings, spec, seed=1)[0].state_dict()
    assert any(not torch.equal(value, other[name]) for name, value in states[0][0].items())


@pytest.mark.parametrize(("network", "variant"), VARIANTS)
def test_a_penalty_reaches_every_weight_that_moves_the_slope(network: str, variant: dict) -> None:
    _, discriminator = players(gan_settings(network, variant), image_spec(3))
    x = torch.randn(4, 3, 12, 12, generator=rng(1), requires_grad=True)
    gradient_norm_squared(discriminator(x), x).sum().backward()
    weights = [p for name, p in discriminator.named_parameters() if not name.endswith("bias")]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in weights)
    assert any(p.grad.any() for p in weights)


@pytest.mark.parametrize("network", NETWORKS)
def test_labels_change_what_is_made_and_how_it_is_judged(network: str) -> None:
    generator, discriminator = players(gan_settings(network, conditional=True), image_spec(classes=3))
    z = latents(1).expand(3, -1)
    x = generator(z, torch.arange(3))
    assert x[1:].sub(x[0]).abs().amax((1, 2, 3)).min() > 1e-3
    logits = discriminator(x[:1].expand(3, -1, -1, -1), torch.arange(3))
    assert len(logits.unique()) == 3
    with pytest.raises(ValueError, match="needs labels"):
        generator(z)
    with pytest.raises(ValueError, match="needs labels"):
        discriminator(x)


@pytest.mark.parametrize("network", NETWORKS)
def test_packs_are_judged_together(network: str) -> None:
    _, discriminator = players(gan_settings(network, packing=2), image_spec(3))
    x = torch.randn(4, 3, 12, 12, generator=rng(1))
    logits = discriminator(pack(x, 2))
    assert logits.shape == (2,)
    x[1] += 1
    changed = discriminator(pack(x, 2)) != logits
    assert changed.tolist() == [True, False]


@pytest.mark.parametrize(("network", "variant"), VARIANTS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_bfloat16_and_channels_last_stay_close_to_fp32(network: str, variant: dict, channels_last: bool) -> None:
    generator, discriminator = players(gan_settings(network, variant), image_spec(3))
    z = latents(4)
    x = generator.eval()(z)
    logits = discriminator.eval()(x)
    if channels_last:
        generator.to(memory_format=torch.channels_last)
        discriminator.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        made = generator(z)
        judged = discriminator(x)
    assert made.dtype == judged.dtype == torch.float32
    torch.testing.assert_close(made, x, atol=0.05, rtol=0.05)
    torch.testing.assert_close(judged, logits, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("network", NETWORKS)
def test_spectral_norm_bounds_every_layer(network: str) -> None:
    _, discriminator = players(gan_settings(network, {"norm": "spectral"}), image_spec(3))
    for _ in range(5):
        discriminator(torch.randn(2, 3, 12, 12, generator=rng(1)))
    layers = [m for m in discriminator.eval().modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), None])
def test_the_mlp_makes_points_bounded_only_where_the_data_is(bounds: tuple[float, float] | None) -> None:
    spec = image_spec(modality="point", shape=(2,), value_range=bounds)
    generator, discriminator = players(gan_settings("mlp", packing=2), spec)
    points = generator(100 * latents(64))
    assert points.shape == (64, 2)
    assert (points.abs().max().item() <= 1) == (bounds is not None)
    assert discriminator(pack(points, 2)).shape == (32,)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_fresh_network_makes_varied_examples_of_the_size_of_the_data(network: str) -> None:
    settings = GANSettings(network=network, loss="hinge")
    generator, discriminator = players(settings, image_spec(1, 28))
    x = generator(torch.randn(16, 100, generator=rng(1)))
    assert 0.2 < x.std(0).mean().item() < 1.5
    assert 0.03 < discriminator(x).std().item() < 3


@pytest.mark.parametrize(
    ("settings", "spec", "message"),
    [
        (gan_settings("dcgan"), image_spec(modality="point", shape=(2,)), "holds point data: take mlp"),
        (gan_settings("residual"), image_spec(shape=(1, 8, 12)), "square images, got 8 x 12"),
        (gan_settings("mlp", conditional=True), image_spec(), "needs labels, and made has none"),
        (
            gan_settings("residual", {"group_width": 7}),
            image_spec(),
            "group_width=7 must divide the 16 channels",
        ),
        (
            gan_settings("dcgan", {"hidden": (8,)}),
            image_spec(),
            r"discriminator.hidden=\(8,\) means nothing to",
        ),
        (gan_settings("residual", {"minibatch_std": True}), image_spec(), "discriminator.minibatch_std=True"),
        (gan_settings("mlp", {"blocks": 2}), image_spec(), "blocks=2 means nothing to network=mlp"),
    ],
)
def test_what_cannot_be_built_is_refused(settings: GANSettings, spec: Spec, message: str) -> None:
    with pytest.raises(UserError, match=message):
        players(settings, spec)


def test_fourier_features_keep_their_angles_under_bfloat16() -> None:
    features = FourierFeatures(2, 4.0)
    features.frequencies.normal_(0, 4.0, generator=rng())
    x = 3 * torch.randn(16, 2, generator=rng(1))
    y = features(x)
    phases = 2 * torch.pi * x @ features.frequencies
    torch.testing.assert_close(y, torch.cat([x, phases.sin(), phases.cos()], 1), atol=1e-4, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(features(x), y)

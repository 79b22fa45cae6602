"""The three models that generate series, on series with gaps, categories, attributes, labels and unequal lengths."""

import contextlib
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from noiseforge.data.feed import Feed
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Batch, Column, Spec
from noiseforge.errors import UserError
from noiseforge.models.latent_recurrent_gan import LatentRecurrentGAN
from noiseforge.models.player import Moment, Noise
from noiseforge.models.recurrent_gan import RecurrentGAN
from noiseforge.models.recurrent_vae import RecurrentVAE
from noiseforge.models.series import SeriesModel
from noiseforge.networks.sequence.principal import SQUARED_NORM
from noiseforge.networks.sequence.representation import FLATTEST
from noiseforge.recipes.recurrent_settings import (
    LatentRecurrentGANSettings,
    RecurrentGANSettings,
    RecurrentVAESettings,
)
from noiseforge.training.players import Seat

N, STEPS, CLASSES = 256, 10, 2
COLUMNS = (
    Column(name="wave"),
    Column(name="copy", missing=True),
    Column(name="side", kind="category", categories=("low", "middle", "high"), missing=True),
    Column(name="age", attribute=True),
    Column(name="kind", kind="category", categories=("a", "b"), attribute=True),
    Column(name="count", kind="integer", scale=10.0, levels=tuple(float(level) for level in range(11))),
    Column(name="elapsed", kind="lag", offset=0.5, scale=2.0),
)
WAVE, COPY, SIDE, AGE, KIND, COUNT, ELAPSED = 0, 1, slice(2, 5), 5, slice(6, 8), 8, 9
HALF = "bf16"


def autocast(precision: str) -> Any:
    return torch.autocast("cpu", torch.bfloat16) if precision == HALF else contextlib.nullcontext()


PROCESSES: Any = SimpleNamespace(autocast=autocast, average_gradients=lambda _: None)


class Series:
    """Waves in memory: the kind is the label, the copy is exact, lengths are 4, 6 and 10."""

    def __init__(self, *, whole: bool = False) -> None:
        rng = torch.Generator().manual_seed(0)
        self.labels = torch.arange(N) % CLASSES
        self.length = None if whole else torch.tensor([4, 6, 10])[torch.randint(3, (N,), generator=rng)]
        wave = (torch.arange(STEPS) * 0.6 + 6 * torch.rand(N, 1, generator=rng)).sin() / 2 + 0.5
        side = one_hot((wave * 2.99).long(), 3).float()
        gone = torch.rand(N, STEPS, 2, generator=rng) < 0.2
        copy = wave.masked_fill(gone[..., 0], torch.nan)
        age = torch.rand(N, 1, generator=rng).expand(-1, STEPS)
        kind = one_hot(self.labels, 2).float().unsqueeze(1).expand(-1, STEPS, -1)
        parts = [wave, copy, side.masked_fill(gone[..., 1:], torch.nan), age, kind, (wave * 10).round() / 10, wave]
        self.x = torch.cat([part if part.dim() == 3 else part.unsqueeze(2) for part in parts], 2)
        if self.length is not None:
            self.x[torch.arange(STEPS) >= self.length[:, None]] = 0
        self.spec = Spec(
            source="waves",
            modality="sequence",
            shape=(STEPS, 10),
            columns=COLUMNS,
            classes=("a", "b"),
            value_range=(0.0, 1.0),
            fingerprint="0",
        )

    def __len__(self) -> int:
        return N

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.x[indices], self.labels[indices], None if self.length is None else self.length[indices])

    def subset(self, indices: Tensor) -> "Series":
        raise NotImplementedError


def latent_gan(spec: Spec, **changes: Any) -> LatentRecurrentGAN:
    small = {"hidden": (16,), "lr": 1e-3}
    coding = {"code": 12, "hidden": 16, "images": 32 * 150, "lr": 5e-3}
    given = {
        "latent": 4,
        "normalise": True,
        "generator": small,
        "discriminator": small,
        "autoencoder": coding,
        **changes,
    }
    settings = LatentRecurrentGANSettings(conditional=True, residual_images=32 * 30, **given)
    return LatentRecurrentGAN(settings, spec, torch.Generator().manual_seed(0))


def direct_gan(spec: Spec, **changes: Any) -> RecurrentGAN:
    small = {"hidden": (16,), "lr": 2e-3}
    settings = RecurrentGANSettings(conditional=True, latent=3, generator=small, discriminator=small, **changes)
    return RecurrentGAN(settings, spec, torch.Generator().manual_seed(0))


def vae(spec: Spec, **changes: Any) -> RecurrentVAE:
    settings = RecurrentVAESettings(conditional=True, latent=4, hidden=16, **changes)
    return RecurrentVAE(settings, spec, torch.Generator().manual_seed(0))


Build = Callable[..., SeriesModel]
MODELS: dict[str, tuple[Build, dict[str, Any]]] = {
    "latent": (latent_gan, {}),
    "latent, on one scale, no noise": (latent_gan, {"noise": "none", "normalise": False}),
    "direct": (direct_gan, {"r1": 0.1, "r2": 0.1, "normalise": True}),
    "direct, several steps a cell, lstm": (direct_gan, {"chunk": 3, "cell": "lstm", "r1": 0, "r2": 0, "loss": "hinge"}),
    "direct, gradient penalty": (direct_gan, {"r1": 0, "r2": 0, "loss": "wasserstein", "gradient_penalty": 10}),
    "vae": (vae, {"free_bits": 0.1}),
    "vae, several steps a cell, lstm": (vae, {"chunk": 4, "cell": "lstm"}),
}


def play(model: SeriesModel, data: Series, rounds: int, batch: int = 32, precision: str = "fp32") -> dict[str, float]:
    """Rounds as the loop plays them; the terms of the last one in which each was."""
    model.prepare(data)
    seats = [Seat(player, alone=False) for player in model.players()]
    device = torch.device("cpu")
    noise, feed = Noise(torch.Generator().manual_seed(1), device), Feed(data, batch, 2, device)
    terms: dict[str, float] = {}
    for images in range(0, rounds * batch, batch):
        for seat in [seat for seat in seats if seat.player.plays(images)]:
            found = seat.play(feed, Moment(noise, images, seat.turns), PROCESSES, precision)
            terms |= {name: float(value) for name, value in found.items()}
    model.eval()
    return terms


def in_steps(made: Samples) -> Tensor:
    assert made.length is not None
    return torch.arange(STEPS) < made.length[:, None]


@pytest.mark.parametrize("name", MODELS)
def test_what_is_made_is_as_the_columns_say(name: str) -> None:
    build, changes = MODELS[name]
    data = Series()
    model = build(data.spec, **changes)
    play(model, data, 4)
    made = model.series(60, generator=torch.Generator().manual_seed(3))
    alive = in_steps(made)
    assert made.x.shape == (60, STEPS, 10)
    assert made.y is not None and made.y.tolist() == [0, 1] * 30
    assert bool((made.x[~alive] == 0).all())
    known = made.x[alive].nan_to_num(0.5)
    assert float(known.min()) >= 0 and float(known.max()) <= 1
    missing = made.x.isnan().any(1).any(0)
    assert not missing[[WAVE, AGE, COUNT, ELAPSED]].any() and not missing[KIND].any()
    side = made.x[..., SIDE][alive]
    assert bool((side.isnan().all(1) | (side.sum(1) == 1)).all())
    for steps, row in zip(alive, made.x, strict=True):
        assert bool((row[steps][:, AGE] == row[0, AGE]).all()) and bool((row[steps][:, KIND] == row[0, KIND]).all())
    counts = made.x[..., COUNT][alive] * 10
    torch.testing.assert_close(counts, counts.round())
    assert bool((made.x[:, 0, ELAPSED] == 0).all())  # the range ends there: no time before the first step
    there = alive & ~made.x[..., COPY].isnan()
    torch.testing.assert_close(made.x[..., COPY][there], made.x[..., WAVE][there])


@pytest.mark.parametrize("name", MODELS)
def test_samples_follow_the_generator_and_survive_saving(name: str) -> None:
    build, changes = MODELS[name]
    data = Series()
    model, other = build(data.spec, **changes), build(data.spec, **changes)
    play(model, data, 4)
    other.load_state_dict(model.state_dict())
    first, again, fresh = (
        one.series(8, label="b", generator=torch.Generator().manual_seed(seed))
        for one, seed in ((model, 3), (other, 3), (model, 4))
    )
    torch.testing.assert_close(first.x, again.x, rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(first.x.nan_to_num(9), fresh.x.nan_to_num(9))
    assert model.decode(torch.zeros(3, model.width), torch.zeros(3, dtype=torch.long)).isfinite().all()
    torch.testing.assert_close(
        model.sample(8, label=1, generator=torch.Generator().manual_seed(3)), first.x, equal_nan=True
    )


@pytest.mark.parametrize("build", [latent_gan, direct_gan, vae])
def test_half_precision_trains(build: Build) -> None:
    data = Series()
    model = build(data.spec, **({"autoencoder": {"code": 12, "images": 64}} if build is latent_gan else {}))
    terms = play(model, data, 4, precision=HALF)
    assert all(math.isfinite(value) for value in terms.values())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("build", [latent_gan, direct_gan, vae])
def test_series_of_one_length_have_no_lengths(build: Build) -> None:
    data = Series(whole=True)
    model = build(data.spec)
    play(model, data, 2)
    assert model.series(5).length is None


def test_the_decoder_ends_where_the_noise_begins_and_the_game_leaves_it_alone() -> None:
    data = Series()
    model = latent_gan(data.spec, autoencoder={"code": 12, "hidden": 16, "images": 32 * 20})
    players = {player.name: player for player in model.players()}
    assert list(players) == ["decoder", "discriminator", "generator", "residual"]
    assert players["decoder"].plays(0) and players["generator"].plays(0) and not players["residual"].plays(0)
    play(model, data, 20)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    terms = play(model, data, 25)  # the decoder's turns anew, then five rounds without it
    assert {"generator/adversarial", "discriminator/r1", "discriminator/r2", "residual/residual"} <= terms.keys()
    moved = {name.split(".")[0] for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"decoder", "game", "noise"}
    game = players["discriminator"].loss(data.batch(torch.arange(8)), Moment(noise()))
    sum(game.values(), torch.zeros(())).backward()
    moved = {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {"discriminator"}


def noise() -> Noise:
    return Noise(torch.Generator().manual_seed(1), torch.device("cpu"))


def test_codes_are_of_one_scale_and_bring_a_series_back() -> None:
    data = Series()
    model = latent_gan(data.spec, autoencoder={"code": 40, "hidden": 16, "images": 32 * 150, "lr": 5e-3})
    play(model, data, 150)
    assert data.length is not None
    codes = model.coded(data.x, data.length, data.labels)
    levels = model.representation.levels
    assert float(codes[:, levels:].square().sum(1).mean()) == pytest.approx(SQUARED_NORM, rel=1e-3)
    made = model.game.render(model.latent(20, torch.Generator().manual_seed(0)), torch.zeros(20, dtype=torch.long))
    assert bool((made[:, :levels] == 0).all(0).eq(model.representation.level_whitening.kept == 0).all())
    again = model.reconstruct(data.x, data.labels, data.length)
    alive = torch.arange(STEPS) < data.length[:, None]
    errors = (again - data.x)[..., WAVE][alive]
    assert float(errors.square().mean()) < 0.1 * float(data.x[..., WAVE][alive].var())
    assert float((again[:, 0, KIND].argmax(1) == data.labels).float().mean()) > 0.95
    assert bool(again.isfinite().all())


def test_codes_of_the_data_are_finished_already_and_others_have_the_share_that_is_drawn() -> None:
    data, rng = Series(whole=True), torch.Generator().manual_seed(1)
    data.x[..., [WAVE, COPY]] *= 0.2 + 1.5 * torch.rand(N, 1, 1, generator=rng)
    model = latent_gan(data.spec, autoencoder={"code": 10_000})
    model.prepare(data)
    representation = model.representation
    code = model.coded(data.x, data.length, None)
    level, shape = code.split([representation.levels, code.shape[1] - representation.levels], 1)
    alive = torch.ones(N, STEPS, dtype=torch.bool)
    told = representation.told.view(2, -1)[1].bool()
    assert told.any(), "else nothing below is checked"
    share = representation.share(model._linear(code), level, alive)
    still = torch.zeros(N, model.swelling.numbers)
    drawn = torch.cat([level, model.shares(share)], 1)
    assert bool(data.x.isnan().any()), "with their gaps"
    torch.testing.assert_close(model._finished(shape, still, drawn), code, atol=1e-3, rtol=1e-3)
    model.shares.scale.fill_(0.3)
    numbers = torch.randn(share.shape, generator=rng) - 2
    other = torch.randn(shape.shape, generator=rng) * model.principal.scales
    made = model._finished(other, still, torch.cat([level, numbers], 1))
    assert torch.equal(made[:, : representation.levels], level)
    again, wanted = representation.share(model._linear(made), level, alive), model.shares.restore(numbers)
    assert float(wanted[:, told].std()) > 0.05
    torch.testing.assert_close(again[:, told], wanted[:, told], atol=0.02, rtol=0)


def test_the_game_begins_near_the_mean_and_covariance_of_the_codes() -> None:
    """Of six beginnings on average, before shapes are finished."""
    data, apart = Series(), []
    for seed in range(6):
        settings = LatentRecurrentGANSettings(latent=40, autoencoder={"code": 20})
        model = LatentRecurrentGAN(settings, data.spec, torch.Generator().manual_seed(seed))
        model.prepare(data)
        levels = model.representation.levels
        model.game.generator.finish = lambda shape, swells, drawn: torch.cat([drawn[:, :levels], shape], 1)  # noqa: B023
        with torch.no_grad():
            made = model.game.render(model.latent(20_000, torch.Generator().manual_seed(1)), None)[:, levels:]
            codes = model.coded(data.x, data.length, None)[:, levels:]
        assert float(((made.mean(0) - codes.mean(0)) / model.principal.scales).abs().max()) < 0.25
        apart.append(float((made.T.cov() - codes.T.cov(correction=0)).norm() / codes.T.cov().norm()))
    assert sum(apart) / len(apart) < 0.1


def test_gaps_are_no_surer_than_the_codes_they_are_told_by() -> None:
    data = Series()
    model = latent_gan(data.spec, latent=100, autoencoder={"code": 100, "hidden": 32, "images": 32 * 300, "lr": 5e-3})
    play(model, data, 300)
    view = model.representation(data.x, data.length)
    scales = torch.cat([torch.zeros(model.representation.levels), model.principal.scales])
    codes = model.coded(data.x, data.length, data.labels) + scales * torch.randn(
        N, len(scales), generator=noise().private()
    )
    with torch.no_grad():
        told = model.representation.surprise(view, model.parts(codes, model.decoder(codes, data.labels)))["missing"]
    share = view.missing.sum() / view.alive.sum() / 2
    knowing_nothing = -2 * (share * share.log() + (1 - share) * (1 - share).log())
    # 0.51 of it; 0.64 to 0.69 by a decoder that was shown nothing but codes as they are.
    assert float(told.sum() / view.alive.sum()) < 0.58 * float(knowing_nothing)


def test_a_gap_asks_nothing_and_padding_changes_nothing() -> None:
    data = Series()
    model = latent_gan(data.spec, normalise=False)
    model.prepare(data)
    view = model.representation(data.x, data.length)
    codes = model.coded(data.x, data.length, data.labels)
    parts = model.parts(codes, model.decoder(codes, data.labels))
    errors = model.representation.errors(view, parts)
    missing = ~view.known[..., 1] & view.alive
    gap, step = (missing[:, :-1] & missing[:, 1:]).nonzero()[0].tolist()  # beside another one
    other = data.x.clone()
    other[gap, step, COPY] = 0.9  # a value where there was a gap: only there is anything else asked for
    changed = model.representation.errors(model.representation(other, data.length), parts) - errors
    assert changed[gap, step].abs().max() > 0
    changed[gap, step] = 0
    assert changed.abs().max() == 0
    assert bool((errors[~view.alive] == 0).all())
    assert data.length is not None
    short = data.length == 6
    cut = model.representation(data.x[short][:, :STEPS], data.length[short]).inputs
    assert bool((cut[:, 6:] == 0).all())


def test_each_series_is_normalised_and_comes_back() -> None:
    """Whatever its size; gaps and the end do not count."""
    data = Series(whole=True)
    data.x = data.x.nan_to_num(0.25)
    data.x[: N // 2, :, WAVE] = 0.5 + 0.02 * (data.x[: N // 2, :, WAVE] - 0.5)
    representation = latent_gan(data.spec).representation
    representation.prepare(data)
    view = representation(data.x, None)
    of_mean, of_scale = representation.told.bool().chunk(2)
    normalised = representation.marginals.restore(view.real)
    mean, variance = normalised.mean(1)[:, of_mean], normalised.var(1, correction=0)[:, of_scale]
    assert mean.numel() and variance.numel()
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-3, rtol=0)
    given = representation.whitening(data.x[..., representation.real]).var(1, correction=0)[:, of_scale]
    torch.testing.assert_close(variance, given / (given + FLATTEST**2), atol=1e-3, rtol=0)
    assert float(variance.median()) > 0.99
    varies = representation.level_whitening.kept
    torch.testing.assert_close(view.level.std(0, correction=0), varies, atol=2e-2, rtol=0)
    again = representation.values(view.real, view.level)
    torch.testing.assert_close(again, data.x[..., representation.real], atol=1e-4, rtol=0)


def test_generated_lengths_are_those_of_the_data_in_their_shares() -> None:
    data = Series()
    model = latent_gan(data.spec)
    model.prepare(data)
    drawn = model.representation.draw_lengths(torch.zeros(6000, STEPS), torch.Generator().manual_seed(0))
    assert data.length is not None
    for length in (4, 6, 10):
        share = float((data.length == length).float().mean())
        assert float((drawn == length).float().mean()) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("build", [latent_gan, vae])
def test_lengths_and_gaps_are_as_frequent_as_in_the_data(build: Build) -> None:
    """A decoder that is too sure of what it says is made up for, in what is used of the weights."""
    data = Series()
    model = build(data.spec)
    model.prepare(data)

    def shares(made: Samples) -> Tensor:
        assert made.length is not None
        lengths = [(made.length == length).float().mean() for length in (4, 6, 10)]
        return torch.stack([*lengths, made.x[..., COPY][in_steps(made)].isnan().float().mean()])

    def made() -> Tensor:
        return shares(model.series(4000, generator=torch.Generator().manual_seed(1)))

    wanted = shares(Samples(data.x, None, data.length))
    with torch.no_grad():
        model.get_parameter("decoder.length.bias")[3] += 2
    assert float((made() - wanted).abs().max()) > 0.2
    model.settle()
    torch.testing.assert_close(made(), wanted, atol=0.03, rtol=0)


def test_denoised_series_are_smoother_by_what_the_model_of_noise_holds() -> None:
    data = Series(whole=True)
    noisy = data.x[..., WAVE] + 0.1 * torch.randn(N, STEPS, generator=torch.Generator().manual_seed(5))
    data.x[..., WAVE] = noisy.clamp(0, 1)
    model = latent_gan(data.spec, autoencoder={"code": 3, "hidden": 16, "images": 32 * 150, "lr": 5e-3})
    play(model, data, 250)
    rough = []
    for denoised in (False, True):
        made = model.series(200, generator=torch.Generator().manual_seed(1), denoised=denoised)
        rough.append(float(made.x[..., WAVE].diff(n=2).std()))
    assert rough[1] < 0.8 * rough[0]


def test_the_vae_codes_what_it_decodes() -> None:
    data = Series()
    model = vae(data.spec, beta=0.1, optimiser={"lr": 5e-3, "beta1": 0.9})
    terms = play(model, data, 150)
    parts = ("reconstruction", "category", "missing", "length")
    loss = sum(terms[f"autoencoder/{name}"] for name in parts)
    assert terms["autoencoder/bound"] == pytest.approx(-loss - terms["autoencoder/kl"] / 0.1, rel=1e-4)
    code = model.encode(data.x, data.labels, data.length)
    assert code.mean.shape == code.log_variance.shape == (N, 4)
    again = model.reconstruct(data.x, data.labels, data.length)
    decoded = model.decode(code.mean, data.labels)
    assert data.length is not None
    same = (decoded[..., KIND].sum((1, 2)) == data.length).nonzero().flatten()  # those whose length it tells rightly
    assert len(same) > 20
    torch.testing.assert_close(again[same], decoded[same])


def test_the_vae_counts_a_density_once_for_each_known_value() -> None:
    """Against the plain normal likelihood, where nothing is missing."""
    data = Series(whole=True)
    data.x = data.x.nan_to_num(0.25)
    model = vae(data.spec)
    model.prepare(data)
    view = model.representation(data.x, None)
    parts = model.representation.parts(torch.zeros(N, STEPS, model.representation.outputs), view.level)
    kept = model.representation.whitening.kept.bool()
    expected = torch.distributions.Normal(0.0, 0.5).log_prob(view.real[..., kept]).sum((1, 2))
    torch.testing.assert_close(model._log_density(view, parts), expected, rtol=1e-3, atol=1e-2)


def test_the_discriminators_turn_leaves_the_direct_generator_alone_and_packs_lie_side_by_side() -> None:
    data = Series()
    model = direct_gan(data.spec, r1=0.1, r2=0.1)
    model.prepare(data)
    discriminator = model.players()[0]
    sum(discriminator.loss(data.batch(torch.arange(8)), Moment(noise())).values(), torch.zeros(())).backward()
    assert all(parameter.grad is None for parameter in model.generator.parameters())
    settings = RecurrentGANSettings(packing=2, generator={"hidden": (8,)}, discriminator={"hidden": (8,)})
    packed = RecurrentGAN(settings, data.spec, torch.Generator())
    shown = packed._presented(torch.arange(24.0).view(4, 3, 2), Moment(noise()))
    assert shown[1].tolist() == [[12, 13, 18, 19], [14, 15, 20, 21], [16, 17, 22, 23]]


def test_the_direct_generator_learns_which_lengths_there_are() -> None:
    data = Series()
    model = direct_gan(data.spec, r1=0.1, r2=0.1)
    play(model, data, 2)
    made = model.series(300)
    assert made.length is not None and int(made.length.min()) >= 4
    z = torch.randn(4, model.width, generator=torch.Generator().manual_seed(0))
    steps = model.generator(z, torch.zeros(4, dtype=torch.long))[..., -1].sum()
    (gradient,) = torch.autograd.grad(steps, [model.generator.output.bias])
    assert gradient[-1] > 0  # to go on makes them longer


@pytest.mark.parametrize("count", [0, -1])
def test_a_number_of_series_below_one_is_refused(count: int) -> None:
    with pytest.raises(UserError, match="n must be"):
        vae(Series().spec).series(count)


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="augment"):
        LatentRecurrentGANSettings(augment="translate:0.1")
    with pytest.raises(ValueError, match="as wide as each other"):
        RecurrentGANSettings(generator={"hidden": (8, 16)})
    with pytest.raises(ValueError, match="norm"):
        RecurrentGANSettings(discriminator={"norm": "spectral"})


@pytest.mark.parametrize("build", [latent_gan, direct_gan, vae])
@pytest.mark.parametrize("shape", [(10, 1), (130, 2)])
def test_univariate_and_long_series(build: Build, shape: tuple[int, int]) -> None:
    """Long ones go in chunks, of which the last is not full."""
    data = Series(whole=True)
    data.x = torch.rand(N, *shape, generator=torch.Generator().manual_seed(0))
    data.spec = Spec(
        source="noise", modality="sequence", shape=shape, classes=("a", "b"), value_range=None, fingerprint="0"
    )
    changes = {"autoencoder": {"code": 12, "images": 64}} if build is latent_gan else {}
    model = build(data.spec, **changes)
    play(model, data, 4)
    assert model.series(3).x.isfinite().all() and model.series(3).x.shape == (3, *shape)


@pytest.mark.parametrize("build", [latent_gan, direct_gan, vae])
def test_series_of_categories_alone(build: Build) -> None:
    data = Series(whole=True)
    column = Column(name="side", kind="category", categories=("low", "middle", "high"))
    data.x = data.x[..., SIDE].nan_to_num(0)
    data.x[data.x.sum(2) == 0] = torch.tensor([1.0, 0.0, 0.0])
    data.spec = data.spec.model_copy(update={"columns": (column,), "shape": (STEPS, 3)})
    changes = {"autoencoder": {"code": 12, "images": 64}} if build is latent_gan else {}
    model = build(data.spec, **changes)
    terms = play(model, data, 4)
    assert all(math.isfinite(value) for value in terms.values())
    assert bool((model.series(20).x.sum(2) == 1).all())

"""One contract over every model: play a round, sample, save, load, the same samples."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import Diverged, UserError
from noiseforge.models.gan import GAN
from noiseforge.objectives.variational import importance_bound
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import Interrupted, train
from noiseforge.training.players import Training
from noiseforge.training.processes import Processes
from noiseforge.training.progress import Progress
from noiseforge.training.run import POSTERIOR, Run

SMALL = {"generator": {"width": 8}, "discriminator": {"width": 8}}
PACKED = {"width": 8, "minibatch_std": True}
MLP: dict[str, Any] = {"network": "mlp", "loss": "nonsaturating"}
VAE: dict[str, Any] = {"kind": "vae"}
GAUSSIAN: dict[str, Any] = {"likelihood": {"kind": "gaussian"}}
WAVENET: dict[str, Any] = {
    "kind": "wavenet",
    "dilations": [1, 2, 4],
    "stacks": 1,
    "residual": 8,
    "gate": 8,
    "skip": 8,
    "hop": 10,
    "crop": 100,
}
MODELS: dict[str, dict[str, Any]] = {
    "mlp minimax, batch norm": {**MLP, "loss": "minimax", "discriminator": {"norm": "batch"}},
    "mlp, maxout": {**MLP, "discriminator": {"activation": "maxout"}},
    "mlp conditional": {**MLP, "conditional": True, "latent_distribution": "uniform"},
    "dcgan hinge, spectral": {"network": "dcgan", "loss": "hinge", **SMALL, "discriminator": {"norm": "spectral"}},
    "dcgan least squares": {"network": "dcgan", "loss": "leastsquares", **SMALL, "feature_matching": 1.0},
    "dcgan clipped": {"network": "dcgan", "loss": "wasserstein", **SMALL, "weight_clip": 0.01},
    "dcgan gradient penalty": {"network": "dcgan", "loss": "wasserstein", **SMALL, "gradient_penalty": 10.0},
    "dcgan packed": {"network": "dcgan", "loss": "nonsaturating", **SMALL, "packing": 4, "discriminator": PACKED},
    "dcgan lazy": {"network": "dcgan", "loss": "nonsaturating", **SMALL, "r1": 1.0, "penalty_every": 2},
    "residual conditional": {"network": "residual", "loss": "relativistic", "r1": 1, "r2": 1, "conditional": True},
    "vae, binarised": {**VAE, "network": "mlp", "likelihood": {"kind": "bernoulli", "binarise": "dynamic"}},
    "vae conditional, free bits": {**VAE, **GAUSSIAN, "network": "dcgan", "conditional": True, "free_bits": 0.1},
    "vae residual, logistic": {
        **VAE,
        "network": "residual",
        "likelihood": {"kind": "logistic", "scale": "learned", "levels": 17},
    },
    "iwae": {**VAE, **GAUSSIAN, "network": "mlp", "importance_samples": 5},
    "iwae, sticking": {**VAE, **GAUSSIAN, "network": "mlp", "importance_samples": 5, "gradient": "sticking"},
    "iwae, doubly conditional": {
        **VAE,
        **GAUSSIAN,
        "network": "mlp",
        "importance_samples": 5,
        "gradient": "doubly",
        "conditional": True,
    },
    "aae": {"kind": "aae", **GAUSSIAN, "network": "dcgan", "encoder": {"norm": "batch"}},
    "aae conditional": {"kind": "aae", **GAUSSIAN, "network": "mlp", "conditional": True},
    "vaegan": {"kind": "vaegan", "network": "dcgan", "loss": "relativistic", "r1": 1, "r2": 1, **SMALL},
    "vaegan conditional": {"kind": "vaegan", "network": "mlp", "loss": "hinge", "conditional": True},
    "wavenet": WAVENET,
    "wavenet, told all, dropout": {**WAVENET, "condition_on": ["label", "speaker", "progress"], "dropout": 0.1},
    "wavenet, logistics": {**WAVENET, "output": "logistics", "levels": 65536, "components": 3},
}
MOVED = {"autoencoder": {"encoder", "decoder", "observation"}, "wavenet": {"network", "conditioner"}}
"""What a player moves, where that is more than the network of its own name."""


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


@pytest.fixture(scope="module")
def tones() -> Data:
    """32 clips of at most half a second at 1 kHz, to learn from."""
    return load_data("tones", sample_rate=1000, labels_per_class=8)


@pytest.fixture
def data(name: str, digits: Data, tones: Data) -> Data:
    """What the model of that name learns."""
    return tones if is_of_sound(name) else digits


def is_of_sound(name: str) -> bool:
    return MODELS[name].get("kind") == "wavenet"


def recipe(model: dict[str, Any], **training: Any) -> Recipe:
    sound = model.get("kind") == "wavenet"
    return Recipe.model_validate(
        {
            "data": {"source": "tones" if sound else "digits"},
            "model": model if sound else {"kind": "gan", "latent": 16, **model},
            "train": {"images": 32, "batch": 16, **training},
        }
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_model_plays_samples_and_comes_back(name: str, data: Data, tmp_path: Path) -> None:
    run = train(recipe(MODELS[name]), data, tmp_path / "run")
    model = run.load_model()
    samples = model.sample(6, generator=torch.Generator().manual_seed(1))
    if is_of_sound(name):  # as long as the longest of these clips
        assert samples.shape[:2] == (6, 1) and 250 <= samples.shape[2] <= data.spec.shape[1]
    else:
        assert samples.shape == (6, *data.spec.shape)
    assert torch.isfinite(samples).all()
    assert samples.std(0).mean() > 0
    again = Run.open(run.path).load_model().sample(6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(samples, again)
    assert not torch.equal(samples, model.sample(6, generator=torch.Generator().manual_seed(2)))


@pytest.mark.parametrize("name", MODELS)
def test_each_player_moves_its_own_parameters_alone(name: str, data: Data) -> None:
    training = Training(recipe(MODELS[name]), data, Processes.join("cpu"))
    parts = {key.split(".")[0] for key, _ in training.model.named_parameters()}
    for seat in training.seats:
        before = {key: value.clone() for key, value in training.model.named_parameters()}
        seat.play(training.feed, moment(training, seat.turns), training.processes, "fp32")
        moved = {key.split(".")[0] for key, value in training.model.named_parameters() if not value.equal(before[key])}
        allowed = MOVED.get(seat.player.name, {seat.player.name}) & parts
        assert moved and moved <= allowed
        assert "observation" in moved or moved >= allowed - {"observation"}


def moment(training: Training, turn: int) -> Any:
    from noiseforge.models.player import Moment

    return Moment(training.noise, training.images, turn)


@pytest.mark.parametrize("name", [name for name in MODELS if "ae" in name])
def test_a_model_with_an_encoder_encodes_and_reconstructs(name: str, digits: Data) -> None:
    model = Training(recipe(MODELS[name]), digits, Processes.join("cpu")).model
    batch = digits.test.batch(torch.arange(5))
    code = model.encode(batch.x, batch.y)
    assert code.mean.shape == code.log_variance.shape == (5, 16)
    rebuilt = model.reconstruct(batch.x, batch.y)
    assert rebuilt.shape == batch.x.shape
    assert torch.equal(rebuilt, model.decode(code.mean, model.condition(batch.y)))
    assert model.encode(batch.x[:0], None).mean.shape == (0, 16)


@pytest.mark.parametrize("name", ["iwae", "iwae, sticking", "iwae, doubly conditional"])
def test_the_bounds_of_a_model_agree(name: str, digits: Data) -> None:
    """k = 1 of the weights is the evidence lower bound in expectation, and a larger k is tighter."""
    model = Training(recipe(MODELS[name]), digits, Processes.join("cpu")).model
    batch = digits.test.batch(torch.arange(20))
    y, noise = model.condition(batch.y), torch.randn(2000, 20, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        weights = model.log_weights(batch.x, y, noise)
        terms = [model.elbo_terms(batch.x, y, noise[i : i + 1]) for i in range(400)]
    elbo = torch.stack([t["reconstruction"] - t["kl"].sum(1) for t in terms]).mean()
    assert weights.mean().item() == pytest.approx(elbo.item(), rel=0.02)
    bounds = [importance_bound(weights.view(2000 // k, k, 20).transpose(0, 1).flatten(1)).mean() for k in (1, 5, 50)]
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("name", ["dcgan packed", "wavenet, told all, dropout"])
def test_the_global_random_state_is_neither_read_nor_moved(name: str, data: Data, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    run = train(recipe(MODELS[name]), data, tmp_path / "run")
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    other = train(recipe(MODELS[name]), data, tmp_path / "other")
    assert torch.equal(run.load_model().sample(2), other.load_model().sample(2))


@pytest.mark.parametrize("name", ["iwae", "vaegan", *filter(is_of_sound, MODELS)])
def test_resume_equals_no_interruption_bit_for_bit(name: str, data: Data, tmp_path: Path) -> None:
    plan = recipe(MODELS[name], images=96, save_every=16)

    def interrupt(progress: Progress) -> None:
        if progress.images == 48:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(plan, data, tmp_path / "parts", progress=interrupt)
    parts = train(plan, data, tmp_path / "parts", resume=True).load_model().state_dict()
    whole = train(plan, data, tmp_path / "whole").load_model().state_dict()
    assert parts.keys() == whole.keys()
    assert all(torch.equal(part, whole[key]) for key, part in parts.items())


@pytest.mark.parametrize("name", [*filter(is_of_sound, MODELS)])
def test_a_nan_is_named_and_the_last_good_checkpoint_stays(name: str, data: Data, tmp_path: Path) -> None:
    hot = {"lr": {"start": 0, "end": 1e30, "images": 96}}
    plan = recipe({**MODELS[name], "optimiser": hot}, images=320, save_every=16)
    with pytest.raises(Diverged, match=r"(nan|inf|NaN or infinite).*the last good checkpoint is kept"):
        train(plan, data, tmp_path / "run")
    state = Run.open(tmp_path / "run").load_state()
    assert state["images"] > 0 and all(torch.isfinite(tensor).all() for tensor in state["model"].values())
    assert Run.open(tmp_path / "run").records()[-1]["event"] == "diverged"


def test_labels_by_name_by_index_and_in_turn(digits: Data, tmp_path: Path) -> None:
    model = train(recipe(MODELS["mlp conditional"]), digits, tmp_path / "run").load_model()
    assert torch.equal(model.sample(4, label="7"), model.sample(4, label=7))
    assert not torch.equal(model.sample(4, label=7), model.sample(4, label=3))
    assert model.labels(12).tolist() == [*range(10), 0, 1]
    with pytest.raises(UserError, match=r"label must be one of 0\.\.9"):
        model.sample(4, label=10)
    with pytest.raises(UserError, match="unknown label 'seven'"):
        model.sample(4, label="seven")


def test_a_model_without_conditions_takes_no_label(digits: Data) -> None:
    model = Training(recipe(MODELS["mlp, maxout"]), digits, Processes.join("cpu")).model
    with pytest.raises(UserError, match=r"model\.conditional=true"):
        model.sample(4, label=1)


def test_schedules_reach_the_optimiser_and_the_penalty(digits: Data) -> None:
    falling = {"start": 1.0, "end": 0.0, "images": 64}
    plan = recipe(
        {"network": "dcgan", "loss": "hinge", **SMALL, "r1": falling, "generator": {"width": 8, "lr": falling}}
    )
    training = Training(plan, digits, Processes.join("cpu"))
    terms = [training.round() for _ in range(5)]
    rates = training.seats[1].optimiser.param_groups[0]["lr"]
    assert rates == 0.0
    assert "discriminator/r1" in terms[0]
    assert "discriminator/r1" not in terms[4]


def test_one_pass_over_both_batches_equals_two(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = recipe({"network": "dcgan", "loss": "relativistic", **SMALL, "r1": 1.0, "r2": 0.5, "conditional": True})
    terms = []
    for joined in (True, False):
        training = Training(plan, digits, Processes.join("cpu"))
        apart = GAN._criticise
        if not joined:
            monkeypatch.setattr(GAN, "_criticise", lambda *args, joined, apart=apart: apart(*args, joined=False))
        terms.append(training.round())
    assert terms[0].keys() == terms[1].keys()
    for name, value in terms[0].items():
        torch.testing.assert_close(value, terms[1][name], rtol=1e-4, atol=1e-6)


def test_averaged_weights_are_the_closed_form_of_their_halflife() -> None:
    from noiseforge.training.average import Average

    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(0.0)
    average = Average(module, halflife=100.0)
    with torch.no_grad():
        module.weight.fill_(1.0)
    for step in range(10):
        average.update(100_000 + step * 10, 10)
    assert average.shadow["weight"].item() == pytest.approx(0.5, rel=1e-5), "100 images are one half-life"
    average.swap()
    assert module.weight.item() == pytest.approx(0.5, rel=1e-5)
    average.swap()
    assert module.weight.item() == 1.0


def test_r3gan_has_the_papers_number_of_parameters() -> None:
    """Huang et al. 2024, StackedMNIST: 20.73 M and 20.68 M."""
    from noiseforge.data.spec import Spec
    from noiseforge.models import build_model
    from noiseforge.recipes.load import read_recipe

    settings = read_recipe("image/stacked-mnist-full").model
    spec = Spec(source="stacks", modality="image", shape=(3, 32, 32), fingerprint="none")
    model = build_model(settings, spec, torch.Generator().manual_seed(0))
    millions = [sum(p.numel() for p in player.module.parameters()) / 1e6 for player in model.players()]
    assert [round(m, 2) for m in millions] == [20.68, 20.73]


def test_categories_join_the_latent_in_equal_shares(digits: Data) -> None:
    model = Training(recipe({**MLP, "latent_categories": 5}), digits, Processes.join("cpu")).model
    z = model.latent(5000, torch.Generator().manual_seed(0))
    assert z.shape == (5000, 21)
    categories = z[:, 16:]
    assert ((categories == 0) | (categories == 5**0.5)).all()
    assert (categories > 0).sum(1).eq(1).all()
    torch.testing.assert_close((categories > 0).double().mean(0), torch.full((5,), 0.2).double(), atol=0.02, rtol=0)
    assert z.square().mean().item() == pytest.approx(1.0, abs=0.02)
    assert model.sample(4).shape == (4, 1, 8, 8)


@pytest.mark.parametrize("name", ["vae, binarised", "aae", "vae residual, logistic"])
def test_a_decoder_starts_at_the_mean_of_the_data(name: str, digits: Data) -> None:
    """Of every pixel where each has its own bias, else of all."""
    model = Training(recipe(MODELS[name]), digits, Processes.join("cpu")).model
    with torch.no_grad():
        for part in (p for p in model.decoder.parameters() if p is not model.decoder.output.bias):
            part.zero_()
    mean = digits.train.batch(torch.arange(len(digits.train))).x.mean(0)
    start = model.decode(torch.zeros(1, 16))[0]
    expected = mean.clamp(-0.998, 0.998) if "binarised" in name else mean.mean().expand_as(mean)
    torch.testing.assert_close(start, expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("source", "likelihood", "said"),
    [
        ("digits", {"kind": "bernoulli"}, "set model.likelihood.binarise=dynamic"),
        ("ring", {"kind": "bernoulli", "binarise": "dynamic"}, "take gaussian"),
        ("ring", {"kind": "logistic"}, "take gaussian"),
    ],
)
def test_a_likelihood_that_the_data_does_not_have_is_refused(source: str, likelihood: dict, said: str) -> None:
    plan = recipe({**VAE, "network": "mlp", "likelihood": likelihood})
    with pytest.raises(UserError, match=said):
        Training(plan, load_data(source), Processes.join("cpu"))


def test_new_weights_leave_no_mixture_of_old_codes(digits: Data, tmp_path: Path) -> None:
    run = train(recipe(MODELS["iwae"]), digits, tmp_path / "run")
    (run.path / POSTERIOR).write_bytes(b"of old codes")
    train(recipe(MODELS["iwae"]), digits, tmp_path / "run", resume=True)
    assert not (run.path / POSTERIOR).exists()

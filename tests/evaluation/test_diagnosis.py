"""Health on sample sets whose defects are known, and verdicts on runs whose course is known."""

import math
import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.evaluation import advice
from noiseforge.evaluation.diagnosis import Diagnosis, diagnose
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.health import coverage_floor, measure, overlap_floor
from noiseforge.recipes.load import read_recipe

COUNT = 256


def mixture(seed: int, modes: int = 8) -> Tensor:
    """(COUNT, 2) points, equally of the first `modes` of eight narrow Gaussians on a ring."""
    rng = torch.Generator().manual_seed(seed)
    angle = (torch.arange(COUNT) % modes) * (2 * math.pi / 8)
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * torch.randn(COUNT, 2, generator=rng)


def health_of(samples: Tensor) -> dict[str, float]:
    logits = torch.linspace(-1, 1, COUNT)
    return measure(samples, mixture(0), logits, logits, held_out_logits=logits)


def test_real_like_samples_score_what_real_data_score() -> None:
    found = health_of(mixture(1))
    assert found["pairwise_ratio"] == pytest.approx(1, abs=0.02)
    assert found["coverage"] == pytest.approx(coverage_floor(COUNT), abs=0.03)
    assert found["cell_overlap"] == pytest.approx(overlap_floor(COUNT), abs=0.05)
    assert found["precision"] > 0.9
    assert found["repeat_share"] < 0.05
    assert found["discriminator_wins"] == 0.5
    assert found["logit_gap"] == found["held_out_gap"] == 0


@pytest.mark.parametrize(
    ("samples", "name", "expected", "tolerance"),
    [
        (mixture(1)[:1].expand(COUNT, 2), "pairwise_ratio", 0, 0),
        (mixture(1)[:1].expand(COUNT, 2), "repeat_share", 1, 0),
        (mixture(1)[:16].repeat(16, 1), "repeat_share", 1, 0),
        (mixture(1, modes=2), "coverage", 2 / 8, 0.03),
        (mixture(1, modes=2), "cell_overlap", 2 / 8, 0.03),
        (mixture(1) + 10, "precision", 0, 0),
        (3 * mixture(1), "pairwise_ratio", 3, 0.06),
    ],
)
def test_each_defect_shows_in_its_measure(samples: Tensor, name: str, expected: float, tolerance: float) -> None:
    assert health_of(samples)[name] == pytest.approx(expected, abs=tolerance)


def test_cells_of_single_examples_are_not_looked_at() -> None:
    few, enough = (measure(mixture(1)[:count], mixture(0)[:count]) for count in (63, 64))
    assert few.keys() == enough.keys() - {"cell_overlap"}
    assert enough["cell_overlap"] == pytest.approx(overlap_floor(64), abs=0.12)


def test_discriminator_measures_against_closed_forms() -> None:
    real, fake, unseen = torch.tensor([[3.0], [5.0]]), torch.tensor([4.0, 3.0, 0.0]), torch.tensor([2.0])
    found = measure(mixture(1), mixture(0), real, fake, held_out_logits=unseen)
    assert found["discriminator_wins"] == pytest.approx((1.5 + 3) / 6)  # one tie, one loss
    assert found["logit_gap"] == pytest.approx(4 - 7 / 3)
    # The gap to unseen data is 2 of 5/3: the discriminator treats it worse than it treats samples.
    assert found["held_out_gap"] == pytest.approx(2 / (5 / 3))


def test_features_decide_where_distances_are_taken() -> None:
    logits = torch.zeros(4)
    found = measure(mixture(1), mixture(0), logits, logits, features=lambda x: x[:, :1] * 0 + 1)
    assert found["coverage"] == 1 and found["pairwise_ratio"] == 0


@pytest.mark.parametrize(
    ("samples", "logits", "message"),
    [
        (torch.full((4, 2), math.nan), torch.zeros(4), "finite samples, got 8 of 8"),
        (mixture(1), torch.tensor([1.0, math.inf]), r"finite D\(real\), got 1 of 2"),
        (torch.zeros(4, 3), torch.zeros(4), r"shape \(2,\), got \(3,\)"),
        (torch.zeros(1, 2), torch.zeros(4), "at least 2 samples"),
    ],
)
def test_bad_input_is_told_in_one_line(samples: Tensor, logits: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        measure(samples, mixture(0), logits, torch.zeros(4))
    assert "\n" not in str(error.value)


# -- verdicts ------------------------------------------------------------------------------------

HEALTHY = {
    "pairwise_ratio": 0.97,
    "precision": 0.85,
    "recall": 0.7,
    "coverage": 0.85,
    "cell_overlap": 0.75,
    "repeat_share": 0.0,
    "repeat_floor": 0.0,
    "discriminator_wins": 0.8,
    "logit_gap": 1.0,
    "held_out_gap": 0.05,
    "count": 256.0,
}
UNTRAINED = HEALTHY | {"pairwise_ratio": 0.05, "precision": 0.0, "coverage": 0.0, "discriminator_wins": 1.0}
UNTRAINED["cell_overlap"] = 0.1
STUCK = UNTRAINED | {"pairwise_ratio": 1.2}


def run_of(end: dict[str, float], *, checks: int = 20, loss: float = 0.7, end_loss: float = 0.7) -> list[dict]:
    """A run that goes from an untrained start, over a quarter of its length, to `end`, with some noise."""
    rng = torch.Generator().manual_seed(checks)
    records: list[dict] = []
    for i in range(checks):
        share = min(1.0, 4 * i / checks)
        wobble = 1 + 0.05 * float(torch.randn((), generator=rng))
        now = {k: ((1 - share) * UNTRAINED[k] + share * v) * wobble for k, v in end.items()}
        now["discriminator_wins"] = min(1.0, (1 - share) + share * end["discriminator_wins"])
        value = loss if i < 0.8 * checks else end_loss
        records.append({"event": "train", "images": 1000 * i, "discriminator/adversarial": value * wobble})
        records.append({"event": "health", "images": 1000 * i, **now, "count": 256.0})
    return records


def level_of(diagnosis: Diagnosis, name: str) -> str:
    return next(f.level for f in diagnosis.findings if f.name == name)


@pytest.mark.parametrize("checks", [8, 20, 100])
@pytest.mark.parametrize(
    "end",
    [
        HEALTHY,
        HEALTHY | {"precision": 0.98, "coverage": 0.75},  # sharp digits of nine classes
        HEALTHY | {"pairwise_ratio": 0.75, "precision": 1.0, "coverage": 0.98},  # blurred
        HEALTHY | {"discriminator_wins": 1.0, "logit_gap": 40.0},  # a strong critic
        HEALTHY | {"precision": 0.4, "coverage": 0.45},  # rough, but everywhere
        HEALTHY | {"repeat_share": 0.6, "repeat_floor": 0.55},  # data that repeat themselves
    ],
)
def test_healthy_runs_raise_nothing(end: dict[str, float], checks: int) -> None:
    diagnosis = diagnose(run_of(end, checks=checks))
    assert diagnosis.verdict == "healthy"
    assert {f.level for f in diagnosis.findings} == {"good"}


@pytest.mark.parametrize(
    ("end", "verdict", "finding"),
    [
        (
            HEALTHY | {"pairwise_ratio": 0.1, "coverage": 0.02, "repeat_share": 0.9},
            "mode collapse",
            "variety",
        ),
        (HEALTHY | {"repeat_share": 0.8}, "mode collapse", "variety"),  # few modes, as far apart as the data
        (HEALTHY | {"precision": 0.99, "cell_overlap": 0.37}, "mode collapse", "spread"),  # three of ten classes
        (STUCK, "discriminator won", "balance"),
        (HEALTHY | {"held_out_gap": 0.9}, "memorising", "held-out data"),
    ],
)
def test_a_sick_run_gets_its_verdict(end: dict[str, float], verdict: str, finding: str) -> None:
    diagnosis = diagnose(run_of(end))
    assert diagnosis.verdict == verdict
    worst = diagnosis.findings[0]
    assert (worst.name, worst.level) == (finding, "alarm")
    assert worst.advice and worst.numbers
    assert Diagnosis.model_validate_json(diagnosis.model_dump_json()) == diagnosis


def test_one_bad_check_among_good_ones_is_no_verdict() -> None:
    records = run_of(HEALTHY)
    records[-3] |= {"pairwise_ratio": 0.01, "repeat_share": 1.0, "coverage": 0.0}
    assert diagnose(records).verdict == "healthy"


def test_a_discriminator_that_wins_while_samples_improve_has_not_won() -> None:
    records = run_of(STUCK)
    for i, record in enumerate(r for r in records if r["event"] == "health"):
        record["precision"] = 0.011 * i
    diagnosis = diagnose(records)
    assert diagnosis.verdict == "too short to tell"
    assert level_of(diagnosis, "progress") == "watch" and level_of(diagnosis, "balance") == "good"


def test_divergence_is_growth_without_quality() -> None:
    bad = HEALTHY | {"precision": 0.1, "coverage": 0.05}
    assert diagnose(run_of(bad, end_loss=1e4)).verdict == "diverged"
    strong_critic = diagnose(run_of(HEALTHY, end_loss=1e4))
    assert strong_critic.verdict == "healthy" and level_of(strong_critic, "bounded game") == "watch"
    assert diagnose(run_of(HEALTHY, loss=1e4, end_loss=1e5)).verdict == "healthy"


@pytest.mark.parametrize(
    "last",
    [
        {
            "event": "diverged",
            "images": 2048,
            "reason": "generator/adversarial was not finite after 2048 images",
        },
        {"event": "train", "images": 2048, "generator/adversarial": math.nan},
    ],
)
def test_a_value_that_is_not_finite_is_named(last: dict) -> None:
    diagnosis = diagnose([*run_of(HEALTHY), last])
    assert diagnosis.verdict == "diverged"
    assert diagnosis.findings[0].sentence == "generator/adversarial was not finite after 2048 images."


def test_numbers_beyond_any_use_are_divergence_even_when_they_grew_from_the_start() -> None:
    records = [dict(r) for r in run_of(STUCK)]
    for step, record in enumerate(r for r in records if r["event"] == "train"):
        record["discriminator/adversarial"] = -100.0 * step
    assert diagnose(records).verdict == "discriminator won"
    for record in (r for r in records if r["event"] == "train"):
        record["discriminator/adversarial"] *= 100
    assert diagnose(records).verdict == "diverged"


@pytest.mark.parametrize("records", [[], run_of(HEALTHY, checks=4), run_of(STUCK)[:4]])
def test_too_little_evidence(records: list[dict]) -> None:
    assert diagnose(records).verdict == "too short to tell"


def evaluation_of(**values: tuple[float, float | None]) -> Evaluation:
    """An evaluation with the named figures, each a value and its floor."""
    figures = tuple(
        Figure(metric=k, value=v, floor=f, n_real=100, n_fake=100, extractor="pixels", seed=0, better="higher")
        for k, (v, f) in values.items()
    )
    return Evaluation(subject="samples", source="digits", figures=figures, created="", seconds=0.0)


GOOD = {"precision": (0.8, 0.9), "coverage": (0.8, 0.9)}


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        (GOOD, "healthy"),
        (GOOD | {"coverage": (0.2, 0.95)}, "mode collapse"),
        (GOOD | {"class_min_share": (0.001, 0.09)}, "mode collapse"),
        (GOOD | {"modes": (4.0, 8.0)}, "mode collapse"),
        (GOOD | {"reverse_kl": (0.9, 0.02)}, "mode collapse"),
        (GOOD | {"reverse_kl": (0.9, 0.5)}, "healthy"),
        (GOOD | {"nearest_ratio": (0.1, 1.0)}, "memorising"),
        (GOOD | {"copies": (0.2, 0.0)}, "memorising"),
        (GOOD | {"copies": (0.2, 0.19), "nearest_ratio": (0.8, 1.0)}, "healthy"),
        (GOOD | {"nearest_ratio": (2.5, 1.0)}, "too short to tell"),
        ({"precision": (0.05, 0.9), "coverage": (0.03, 0.9)}, "too short to tell"),
        ({"high_quality": (0.9, 0.99), "modes": (8.0, 8.0)}, "healthy"),
        ({"high_quality": (0.1, 0.99), "modes": (8.0, 8.0)}, "too short to tell"),
    ],
)
def test_verdict_on_an_evaluation_alone(figures: dict[str, tuple[float, float]], verdict: str) -> None:
    assert diagnose([], evaluation_of(**figures)).verdict == verdict


@pytest.mark.parametrize(("coverage", "verdict"), [(0.8, "healthy"), (0.2, "mode collapse")])
def test_without_cells_the_evaluation_says_what_is_missing(coverage: float, verdict: str) -> None:
    looks = [{k: v for k, v in record.items() if k != "cell_overlap"} for record in run_of(HEALTHY)]
    diagnosis = diagnose(looks, evaluation_of(precision=(0.8, 0.9), coverage=(coverage, 0.9)))
    assert diagnosis.verdict == verdict
    assert level_of(diagnosis, "spread") == ("good" if verdict == "healthy" else "alarm")


@pytest.mark.parametrize(
    ("looks", "verdict"), [(HEALTHY, "healthy"), (STUCK, "discriminator won"), (None, "too short")]
)
def test_data_that_repeat_themselves_make_no_sample_strange(looks: dict[str, float] | None, verdict: str) -> None:
    far = evaluation_of(**GOOD, nearest_ratio=(6.0, 1.0))
    assert diagnose(run_of(looks) if looks else [], far).verdict.startswith(verdict)


PICTURES = Spec(source="x", modality="image", shape=(1, 8, 8), classes=("a", "b"), fingerprint="f")
POINTS = Spec(source="x", modality="point", shape=(2,), value_range=None, fingerprint="f")
AUDIO = {"shape": (1, 800), "classes": ("a", "b"), "speakers": ("c", "d"), "sample_rate": 8000}
SOUND = Spec(source="x", modality="audio", fingerprint="f", **AUDIO)
EVERY_REMEDY = [remedies for name, remedies in vars(advice).items() if name.startswith("AGAINST_")]
PLAIN = ["model.conditional=false", "model.loss=hinge", "model.r1=0", "model.r2=0", "model.augment=", "train.batch=64"]
PLAIN += ["model.generator={width: 16}", "model.discriminator={width: 16}", "train.precision=auto"]
MLP = ["model.network=mlp", "model.generator={hidden: [8]}", "model.discriminator={hidden: [8]}"]


@pytest.mark.parametrize(
    ("overrides", "spec", "refused", "said"),
    [
        ([], PICTURES, "", "packing minibatch_std relativistic augment norm=spectral raise fp32 clip_norm"),
        (["model.conditional=true"], PICTURES, "packing", "relativistic"),
        (["train.batch=33"], PICTURES, "packing", "relativistic"),
        (["model.loss=relativistic"], PICTURES, "relativistic", "packing"),
        (["model.discriminator.norm=batch"], PICTURES, "packing relativistic raise", "norm=spectral minibatch_std"),
        (["model.discriminator.norm=spectral", "train.precision=fp32"], PICTURES, "norm=spectral fp32", "raise"),
        (["model.network=residual"], PICTURES, "minibatch_std", "packing norm=spectral"),
        (MLP, POINTS, "augment", "packing minibatch_std"),
    ],
)
def test_advice_is_what_the_recipe_allows(overrides: list[str], spec: Spec, refused: str, said: str) -> None:
    settings = read_recipe("image/digits", [*PLAIN, *overrides])
    texts = [advice.advice(remedies, settings, spec) for remedies in EVERY_REMEDY]
    assert all(texts)
    assert [word for word in refused.split() if word in " ".join(texts)] == []
    assert [word for word in said.split() if word not in " ".join(texts)] == []


def test_advice_names_keys_that_a_recipe_has() -> None:
    text = " ".join(map(advice.advice, EVERY_REMEDY))
    assert all(
        word in text for word in ("packing=2", "loss=relativistic", "'model.augment=translate:0.125 | cutout:0.5'")
    )
    keys = set(re.findall(r"\b(?:model|train)\.[a-z_0-9.]*[a-z_0-9]", text))
    recipes = ("image/digits", "image/mnist-vae", "audio/tones")
    assert keys <= {key for name in recipes for key in dotted(read_recipe(name).model_dump())}
    assert len(keys) > 8


@pytest.mark.parametrize(
    ("recipe", "refused", "said"),
    [
        ("image/mnist-vae", "generator discriminator packing", "model.optimiser.lr clip_norm mixture model.beta"),
        ("image/mnist-iwae-5", "generator discriminator model.beta free_bits", "mixture model.optimiser.lr"),
        ("image/mnist-aae", "model.generator model.beta packing", "mixture model.optimiser.lr model.discriminator.lr"),
        ("image/mnist-vaegan", "model.optimiser", "mixture model.generator.lr packing model.beta"),
        ("image/mnist", "model.optimiser mixture model.beta", "model.generator.lr model.discriminator.lr"),
        ("audio/tones", "generator discriminator packing mixture", "model.optimiser.lr train.images dropout"),
    ],
)
@pytest.mark.parametrize("spec", [PICTURES, None])
def test_advice_names_no_key_that_the_recipe_lacks(recipe: str, refused: str, said: str, spec: Spec | None) -> None:
    settings = read_recipe(recipe)
    spec = SOUND if spec and recipe.startswith("audio/") else spec
    of_words = [tuple(remedy for remedy in remedies if not remedy.settings) for remedies in EVERY_REMEDY]
    texts = [advice.advice(remedies, settings, spec) for remedies in (EVERY_REMEDY if spec else of_words)]
    keys = set(re.findall(r"\b(?:model|train)\.[a-z_0-9.]*[a-z_0-9]", " ".join(texts)))
    assert keys <= set(dotted(settings.model_dump()))
    if spec:
        assert [word for word in refused.split() if word in " ".join(texts)] == []
        assert [word for word in said.split() if word not in " ".join(texts)] == []
        assert all(
            advice.advice(remedies, settings, spec) for remedies in (advice.AGAINST_COLLAPSE, advice.AGAINST_NAN)
        )


def dotted(settings: dict, prefix: str = "") -> Iterator[str]:
    for key, value in settings.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")


def test_the_evaluation_goes_before_health() -> None:
    health = run_of(HEALTHY | {"coverage": 0.05})
    assert diagnose(health).verdict == "too short to tell"
    assert diagnose(health, evaluation_of(**GOOD)).verdict == "healthy"


@pytest.mark.parametrize(
    ("images", "fingerprint", "sentence"),
    [
        (19_000, "f", None),
        (640, "f", "made after 640 images, and the run has seen 19,000"),
        (None, "f", "does not say how far"),
        (19_000, "g", "other data (digits)"),
    ],
)
def test_an_evaluation_of_something_else_is_left_out(
    images: int | None, fingerprint: str, sentence: str | None
) -> None:
    of = evaluation_of(**(GOOD | {"copies": (0.9, 0.0)})).model_copy(
        update={"images": images, "fingerprint": fingerprint}
    )
    diagnosis = diagnose(run_of(HEALTHY), of, spec=PICTURES)
    assert diagnosis.verdict == ("healthy" if sentence else "memorising")
    told = [finding.sentence for finding in diagnosis.findings if finding.name == "evaluation"]
    assert len(told) == bool(sentence) and all(sentence in each for each in told if sentence)


def test_what_still_rises_raises_no_alarm() -> None:
    records = run_of(HEALTHY)
    for i, record in enumerate(r for r in records if r["event"] == "health"):
        record |= {"pairwise_ratio": 0.014 * i, "cell_overlap": 0.02 * i}
    assert diagnose(records).verdict == "healthy"
    assert {level_of(diagnose(records), name) for name in ("variety", "spread")} == {"watch"}


def test_a_code_that_is_not_used_is_found() -> None:
    health = {"event": "health", "pairwise_ratio": 1.0, "repeat_share": 0.0, "latent": 16}
    used = diagnose([{**health, "active_units": 12, "images": i} for i in range(10)])
    unused = diagnose([{**health, "active_units": 0, "images": i} for i in range(10)])
    assert used.verdict != "posterior collapse"
    assert unused.verdict == "posterior collapse"
    assert "posterior has become the prior" in unused.findings[0].sentence


def test_health_without_a_critic_is_that_of_the_samples() -> None:
    logits = torch.zeros(256)
    whole = measure(mixture(1), mixture(0), logits, logits)
    alone = measure(mixture(1), mixture(0))
    assert alone.items() <= whole.items()
    assert "coverage" in alone and "discriminator_wins" not in alone


def test_nats_of_large_pictures_are_no_divergence() -> None:
    nats = [{"event": "train", "images": i, "autoencoder/reconstruction": 30_000.0 - i} for i in range(20)]
    logits = [{"event": "train", "images": i, "discriminator/adversarial": 30_000.0 - i} for i in range(20)]
    assert diagnose(nats).verdict != "diverged"
    assert diagnose(logits).verdict == "diverged"

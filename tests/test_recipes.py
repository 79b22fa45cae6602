"""Recipes: every built-in one is valid; overrides, `extends:` and YAML are read; each mistake is one line."""

from pathlib import Path

import pytest
import torch

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.models import build_model
from noiseforge.recipes.load import header, list_recipes, read_recipe, read_yaml, recipe_text, to_yaml
from noiseforge.recipes.schedule import Ramp

SMALL = """\
# A claim.
#   its command

# no part of the claim
data: {source: digits}
model: {kind: gan, network: mlp, loss: hinge}
train: {images: 1000}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_is_valid_and_survives_its_own_yaml(name: str, tmp_path: Path) -> None:
    written = tmp_path / "recipe.yaml"
    written.write_text(to_yaml(read_recipe(name)) + "spec: {source: digits}\n")
    assert read_recipe(written) == read_recipe(name) == read_recipe(tmp_path)


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_says_how_it_is_trained(name: str) -> None:
    assert f"noiseforge train {name}" in header(name)


@pytest.mark.parametrize("name", list_recipes("audio/*"))
def test_every_recipe_of_sound_builds_its_model(name: str) -> None:
    """On ten digits of six speakers at 8 kHz; crops hold whole frames and more than the context of a value."""
    told = {"classes": tuple("0123456789"), "speakers": tuple("abcdef"), "sample_rate": 8000}
    spec = Spec(source=name, modality="audio", shape=(1, 9000), fingerprint="", **told)
    recipe = read_recipe(name)
    settings = recipe.model
    model = build_model(settings, spec, torch.Generator().manual_seed(recipe.seed))
    (player,) = model.players()
    assert player.name == "wavenet" and player.optimiser == settings.optimiser
    assert settings.crop % settings.hop == 0 and settings.crop > settings.receptive_field
    features = {"label": 10, "speaker": 6, "progress": 17, "mel": settings.mels}
    told_of = sum(features[each] for each in settings.condition_on)
    assert (model.conditioner.layers[0].in_features if model.conditioner else 0) == told_of


def test_recipes_are_listed_by_pattern_in_natural_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    for name in ("image/cifar100", "image/cifar10", "image/cifar9", "toy"):
        (tmp_path / f"{name}.yaml").write_text("")
    monkeypatch.setattr("noiseforge.recipes.load.FOLDER", tmp_path)
    assert list_recipes("image/*") == ["image/cifar9", "image/cifar10", "image/cifar100"]
    assert list_recipes() == [*list_recipes("image/*"), "toy"]


def test_the_header_is_the_first_comment_block(recipe: Path) -> None:
    assert header(recipe) == "A claim.\n  its command"
    assert recipe_text(recipe) == SMALL


def test_overrides_are_yaml_scalars(recipe: Path) -> None:
    changed = read_recipe(
        recipe,
        [
            "train.images=1e6",
            "model.generator.lr=1e-4",
            "model.r1={start: 1, end: 0.1, images: 500}",
            "model.generator.hidden=[8, 16]",
            "model.augment=translate:0.125 | cutout:0.5",
            "data.size=null",
        ],
    )
    assert changed.train.images == 1_000_000
    assert changed.model.generator.lr == 1e-4
    assert changed.model.r1 == Ramp(start=1, end=0.1, images=500)
    assert changed.model.generator.hidden == (8, 16)
    assert changed.model.augment == "translate:0.125 | cutout:0.5"
    assert read_recipe(changed, ["seed=3"]) == changed.model_copy(update={"seed": 3})


def test_a_recipe_states_only_what_differs(recipe: Path) -> None:
    child = recipe.with_name("child.yaml")
    child.write_text("extends: small.yaml\nmodel: {loss: minimax, generator: {lr: 0.5}}\n")
    grandchild = recipe.with_name("grandchild.yaml")
    grandchild.write_text("extends: child.yaml\nmodel: {generator: {beta1: 0}}\n")
    expected = read_recipe(recipe, ["model.loss=minimax", "model.generator.lr=0.5", "model.generator.beta1=0"])
    assert read_recipe(grandchild) == expected


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.batch=0"], "train.batch must be >= 2, got 0"),
        (["train.batch=1", "seed=x"], "train.batch must be >= 2, got 1 (and 1 more)"),
        (["train.images=many"], "train.images must be a whole number, got 'many'"),
        (
            ["train.batchh=3"],
            "unknown key train.batchh, did you mean train.batch? Known in train: average_half",
        ),
        (["train.lr=3"], "unknown key train.lr, did you mean model.generator.lr or model.discriminator.lr?"),
        (
            ["batch=3"],
            "unknown key batch, did you mean train.batch? Known: data, evaluate, model, seed, train",
        ),
        (["model.generator.lr=fast"], "model.generator.lr must be a number, got 'fast'"),
        (
            ["model.generator.lr={start: 1}"],
            "model.generator.lr.end is missing: give it in the recipe, or as",
        ),
        (
            ["model.generator.lr={start: 1, end: 0, images: 2, stop: 3}"],
            "unknown key model.generator.lr.stop",
        ),
        (["model.network=mpl"], "model.network must be 'mlp', 'dcgan' or 'residual', got 'mpl'"),
        (["model.kind=nerf"], "model.kind must be 'gan'"),
        (["model={network: mlp}"], "model.kind is missing"),
        (["data=3"], "data must be a group of settings, got 3"),
        (["model.r1=1", "model.discriminator.norm=batch"], "model: discriminator.norm=batch with r1"),
        (["train.batch"], "expected an override such as train.batch=32, got 'train.batch'"),
        (["train..batch=2"], "expected an override such as train.batch=32, got 'train..batch=2'"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(recipe: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_recipe(recipe, overrides)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [1, 2\nmodel: 3\n", "line 2: expected ',' or ']'"),
        ("a: &x 1\nb: *x\n", "line 2: YAML aliases"),
        ("train: 1\ndata: 2\ntrain: 3\n", "line 3: key 'train' stands twice"),
        ("- 1\n", "expected settings such as `train:`, got list"),
        ("", "expected settings such as `train:`, got NoneType"),
        ("[" * 5000, "nested too deeply"),
        ("? [a]\n: 1\n", "line 1: found unhashable key"),
        ("a: !!python/object/apply:os.getcwd []\n", "line 1: could not determine a constructor"),
        ("a: \x00\n", "not YAML"),
        ("extends: faulty.yaml\n", "extends itself"),
        ("extends: [a]\n", "extends must be one recipe's name or path"),
        ("extends: nowhere\n", "unknown recipe 'nowhere'"),
        ("# " + "x" * 1_000_000, "larger than 1,000,000 bytes"),
    ],
)
def test_a_faulty_file_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "faulty.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_recipe(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not text in UTF-8"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("image/digitz", "unknown recipe 'image/digitz', did you mean 'image/digits'"),
        ("nowhere/x.yaml", "no recipe file at nowhere/x.yaml"),
    ],
)
def test_an_unknown_recipe_is_told(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(name)

"""What to change when a training is in trouble: of all remedies, those that its recipe and its data allow."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import torch

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.models import build_model
from noiseforge.recipes.load import read_recipe
from noiseforge.recipes.schema import Recipe


class Remedy(NamedTuple):
    """One thing to try."""

    words: str
    settings: tuple[str, ...] = ()
    """The overrides of a recipe that it comes to, the first of them the one that it is about."""
    degree: bool = False
    """It is a matter of degree: the settings only show whether the recipe allows it."""
    keys: tuple[str, ...] = ()
    """What a recipe must have for the words to mean something, where there are no settings to try on it."""

    def __str__(self) -> str:
        said = "" if self.degree or not self.settings else ": " + " ".join(map(shlex.quote, self.settings))
        return self.words + said


BOUND = Remedy("bound the discriminator", ("model.discriminator.norm=spectral",))
PENALISE = Remedy("raise model.r1", ("model.r1=10",), degree=True)
RELATIVISTIC = ("model.loss=relativistic", "model.r1=0.1", "model.r2=0.1")
SLOW_DISCRIMINATOR = Remedy("lower model.discriminator.lr", keys=("model.discriminator.lr",))
CLIP_ALL = Remedy("clip the gradient", ("model.optimiser.clip_norm=1",))

AGAINST_COLLAPSE = (
    Remedy("show the discriminator several samples at once", ("model.packing=2",)),
    Remedy("show the discriminator how varied a batch is", ("model.discriminator.minibatch_std=true",)),
    Remedy("change the game", RELATIVISTIC),
    Remedy("let the generator learn more slowly (model.generator.lr)", keys=("model.generator.lr",)),
    Remedy("train longer: a model that predicts poorly loses its way (train.images)", keys=("model.condition_on",)),
    Remedy("draw from where the codes lie: noiseforge sample RUN --from mixture", keys=("model.encoder",)),
    Remedy("lower model.beta, and then draw from the mixture of the codes", ("model.beta=0.1",), degree=True),
)
AGAINST_MEMORISING = (
    Remedy("augment what the discriminator sees", ("model.augment=translate:0.125 | cutout:0.5",)),
    PENALISE,
    Remedy("drop a part of what each layer hears", ("model.dropout=0.05",)),
    Remedy("train on more data"),
    Remedy("train for fewer images (train.images)"),
)
AGAINST_NAN = (
    Remedy(
        "halve model.discriminator.lr and model.generator.lr", keys=("model.discriminator.lr", "model.generator.lr")
    ),
    Remedy("halve model.optimiser.lr", keys=("model.optimiser.lr",)),
    Remedy("compute in full precision", ("train.precision=fp32",)),
    BOUND,
    PENALISE,
    CLIP_ALL,
)
AGAINST_GROWTH = (
    SLOW_DISCRIMINATOR,
    Remedy("lower model.optimiser.lr", keys=("model.optimiser.lr",)),
    BOUND,
    PENALISE,
    Remedy("clip the discriminator's gradient", ("model.discriminator.clip_norm=1",)),
    CLIP_ALL,
)
AGAINST_DEFEAT = (
    Remedy("give the generator a slope to follow", RELATIVISTIC),
    SLOW_DISCRIMINATOR,
    BOUND,
)
AGAINST_UNUSED_CODE = (
    Remedy(
        "warm the KL term up over the first part of the training (a schedule for model.beta)",
        ("model.beta={start: 0, end: 1, images: 500000}",),
        degree=True,
    ),
    Remedy("give each dimension some KL for free", ("model.free_bits=0.1",)),
    Remedy("let the decoder be weaker, or its likelihood sharper"),
)
AGAINST_DOUBT = (
    Remedy("train longer (train.images)"),
    Remedy("check more often (train.sample_every)"),
    Remedy("evaluate the run"),
)


def advice(remedies: Sequence[Remedy], recipe: Recipe | None = None, spec: Spec | None = None) -> str:
    """The remedies in one sentence.

    With a recipe, those that speak of what it has; with its data's Spec too, those that change it to one that can be
    trained.

    >>> advice(AGAINST_DOUBT[:2])
    'Train longer (train.images); or check more often (train.sample_every).'
    """
    if recipe is not None:
        remedies = [remedy for remedy in remedies if all(_has(recipe, key) for key in remedy.keys)]
    if recipe is not None and spec is not None:
        remedies = [remedy for remedy in remedies if _helps(remedy, recipe, spec)]
    said = "; or ".join(map(str, remedies))
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _has(recipe: Recipe, key: str) -> bool:
    """Whether a dotted key is one of this kind of recipe."""
    try:
        attrgetter(key)(recipe)
    except AttributeError:
        return False
    return True


def _helps(remedy: Remedy, recipe: Recipe, spec: Spec) -> bool:
    """Whether the recipe allows the remedy, and does not hold it already."""
    if not remedy.settings:
        return True
    try:
        changed = read_recipe(recipe, remedy.settings)
        held = read_recipe(recipe, remedy.settings[:1]) == recipe
        build_model(changed.model, spec, torch.Generator().manual_seed(0))
    except UserError:
        return False
    return not held

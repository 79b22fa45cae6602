"""What is known of each recording besides its sound: label, speaker, index, and on which side of the split it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from noiseforge.data.labels import sorted_names
from noiseforge.data.split import stratified
from noiseforge.errors import UserError, unknown
from noiseforge.files import readable

FIELDS = {"label": ".+?", "speaker": ".+?", "index": "[0-9]+", "_": ".*?"}
"""What may stand in braces in a pattern of file names, and what it matches."""

DIGIT_NAMES = re.compile("[0-9]_[a-z]+_[0-9]+")
"""Names of the Free Spoken Digit Dataset: digit, speaker, take."""

DIGIT_PATTERN = "{label}_{speaker}_{index}"
DIGIT_SPLIT = "index:0-4"
"""Its official test set: the first five takes of every digit and speaker."""

STRATIFIED = "stratified"

Part = Literal["train", "test"]


class Take(NamedTuple):
    """A recording."""

    path: Path
    name: str
    """Relative to the root of its source."""
    label: str | None = None
    speaker: str | None = None
    number: int | None = None
    """The field `index` of its name."""
    part: Part | None = None
    """Its side in the source's own split; None where it has none."""


def name_pattern(text: str) -> re.Pattern[str]:
    """A pattern of file names such as `{label}_{speaker}_{index}` as a regular expression.

    Fields are label, speaker, index (a number) and `{_}`, which is passed over. Each is as short as it can be.

    Raises:
        UserError: it has an unknown field, one of them twice, or neither label nor speaker.

    >>> name_pattern("{label}-{_}-{index}").fullmatch("yes-take-04").groupdict()
    {'label': 'yes', 'index': '04'}
    """
    pieces = re.split(r"\{([^{}]*)\}", text)
    fields = pieces[1::2]
    for field in fields:
        if field not in FIELDS:
            raise unknown("field of labels_from", field, FIELDS)
    named = [field for field in fields if field != "_"]
    if len(set(named)) < len(named) or not {"label", "speaker"} & set(named):
        raise UserError(
            f"labels_from is {text!r}: expected a pattern with {{label}} or {{speaker}}, each field once, "
            f"such as '{DIGIT_PATTERN}', or 'folders'"
        )
    parts = [
        re.escape(piece)
        if place % 2 == 0
        else f"(?:{FIELDS[piece]})"
        if piece == "_"
        else f"(?P<{piece}>{FIELDS[piece]})"
        for place, piece in enumerate(pieces)
    ]
    return re.compile("".join(parts))


def named(take: Take, pattern: re.Pattern[str]) -> Take | None:
    """A recording with what the name of its file says; None where the pattern does not fit."""
    match = pattern.fullmatch(readable(take.path.stem))
    if match is None:
        return None
    fields = match.groupdict()
    index = fields.get("index")
    number = None if index is None else int(index)
    return take._replace(label=fields.get("label"), speaker=fields.get("speaker"), number=number)


def numbers(names: Iterable[str | None]) -> tuple[tuple[str, ...], Tensor | None]:
    """Sorted distinct names, and each name's place among them as (N,) int64; nothing where a name is missing.

    >>> numbers(["b", "a", "b"])
    (('a', 'b'), tensor([1, 0, 1]))
    """
    given = list(names)
    known = [name for name in given if name is not None]
    if not known or len(known) < len(given):
        return (), None
    order = sorted_names(known)
    places = {name: place for place, name in enumerate(order)}
    return order, torch.tensor([places[name] for name in known])


def own_split(takes: Sequence[Take]) -> bool:
    """The source says itself which recordings are for testing."""
    return any(take.part == "test" for take in takes)


def check_split(split: str) -> None:
    """Refuses what is no split.

    Raises:
        UserError: which it is, and what is known.
    """
    kind, _, value = split.partition(":")
    if kind == "index" and re.fullmatch(r"[0-9]+(-[0-9]+)?", value):
        return
    if not (split == STRATIFIED or (kind == "speaker" and value)):
        raise unknown("split", split, ("index:0-4", "speaker:NAME", STRATIFIED))


def held_out(takes: Sequence[Take], split: str, *, fraction: float, seed: int) -> Tensor:
    """Which recordings (N,) bool are held out by `index:A-B`, `speaker:NAME` or `stratified`.

    A stratified split holds out a share of every label of every speaker, or of every label alone where a speaker
    has only one recording of a label.

    Raises:
        UserError: indices or speakers are not known, or one side of the split would be empty.
    """
    kind, _, value = split.partition(":")
    if kind == "index":
        held = _by_index(takes, value)
    elif kind == "speaker":
        held = _by_speaker(takes, value)
    else:
        chosen = torch.zeros(len(takes), dtype=torch.bool)
        chosen[stratified(_strata(takes), fraction=fraction, seed=seed)[1]] = True
        return chosen
    if held.all() or not held.any():
        which = "all" if held.all() else "none"
        raise UserError(f"split={split} would hold out {which} of {len(takes)} recordings: choose another split")
    return held


def digit_split_fits(takes: Sequence[Take]) -> bool:
    """The official split of spoken digits leaves both sides something."""
    return 0 < int(_by_index(takes, DIGIT_SPLIT.partition(":")[2]).sum()) < len(takes)


def _by_index(takes: Sequence[Take], value: str) -> Tensor:
    low, _, high = value.partition("-")
    indices = [take.number for take in takes if take.number is not None]
    if len(indices) < len(takes):
        raise UserError(
            f"split=index:{value} needs an index in the name of every file: "
            f"give labels_from with {{index}}, such as '{DIGIT_PATTERN}'"
        )
    return torch.tensor([int(low) <= number <= int(high or low) for number in indices])


def _by_speaker(takes: Sequence[Take], value: str) -> Tensor:
    speakers = {take.speaker for take in takes if take.speaker is not None}
    if not speakers:
        raise UserError(
            f"split=speaker:{value} needs speakers, and none are known: "
            f"give labels_from with {{speaker}}, such as '{DIGIT_PATTERN}', or a manifest"
        )
    if value not in speakers:
        raise unknown("speaker to hold out", value, speakers)
    return torch.tensor([take.speaker == value for take in takes])


def _strata(takes: Sequence[Take]) -> Tensor | int:
    classes, labels = numbers(take.label for take in takes)
    people, speakers = numbers(take.speaker for take in takes)
    if labels is None or speakers is None:
        return next((known for known in (labels, speakers) if known is not None), len(takes))
    cells = labels * len(people) + speakers
    counts = torch.bincount(cells, minlength=len(classes) * len(people))
    return labels if bool((counts == 1).any()) else cells

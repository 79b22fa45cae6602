"""What file names say, and who is held out."""

from pathlib import Path

import pytest
import torch

from noiseforge.data.takes import Take, held_out, name_pattern, named
from noiseforge.errors import UserError


def take(name: str, **known: object) -> Take:
    return Take(Path(name), name, **known)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("{label}_{speaker}_{index}", "7_jackson_32.wav", ("7", "jackson", 32)),
        ("{speaker}-{_}-{label}", "anna-x-y-yes.flac", ("y-yes", "anna", None)),
        ("{label}({index})", "yes(04).wav", ("yes", None, 4)),
        ("{_}{index}_{speaker}", "take007_bob.wav", (None, "bob", 7)),
        ("{label}_{index}", "yes_four.wav", None),
        ("{label}.{index}", "yes_4.wav", None),
    ],
)
def test_patterns(pattern: str, name: str, expected: tuple[object, ...] | None) -> None:
    found = named(take(name), name_pattern(pattern))
    assert (found and (found.label, found.speaker, found.number)) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{lable}_{index}", "unknown field of labels_from 'lable', did you mean 'label'"),
        ("{index}", r"with \{label\} or \{speaker\}"),
        ("{label}_{label}", "each field once"),
        ("folder", "or 'folders'"),
    ],
)
def test_patterns_that_say_nothing(pattern: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        name_pattern(pattern)


TAKES = [take(f"{d}_{s}_{i}", label=str(d), speaker=s, number=i) for d in range(2) for s in "abc" for i in range(10)]


def test_splits_hold_out_what_they_say() -> None:
    def chosen(split: str) -> list[Take]:
        return [TAKES[i] for i in held_out(TAKES, split, fraction=0.2, seed=0).nonzero().flatten()]

    assert {t.number for t in chosen("index:2-4")} == {2, 3, 4} and len(chosen("index:2-4")) == 18
    assert {t.number for t in chosen("index:7")} == {7}
    assert {t.speaker for t in chosen("speaker:b")} == {"b"} and len(chosen("speaker:b")) == 20
    cells = [(t.label, t.speaker) for t in chosen("stratified")]
    assert len(cells) == 12 and all(cells.count(cell) == 2 for cell in cells)


def test_a_speaker_with_one_take_of_a_label_is_stratified_by_label() -> None:
    held = held_out([*TAKES, take("x", label="1", speaker="new")], "stratified", fraction=0.1, seed=0)
    assert torch.bincount(torch.tensor([0] * 30 + [1] * 31)[held]).tolist() == [3, 3]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("index:20-30", "would hold out none of 60 recordings"),
        ("index:0-99", "would hold out all of 60"),
        ("speaker:d", "unknown speaker to hold out 'd'"),
    ],
)
def test_splits_that_leave_a_side_empty(split: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        held_out(TAKES, split, fraction=0.1, seed=0)


@pytest.mark.parametrize("split", ["index:0", "speaker:a"])
def test_splits_by_what_is_not_known(split: str) -> None:
    with pytest.raises(UserError, match="give labels_from"):
        held_out([take("a"), take("b")], split, fraction=0.1, seed=0)

"""A manifest names the recordings of a set, and gives the same split again."""

from pathlib import Path

import pytest
import torch
from tests.data.sound_files import tone, write

from noiseforge.data import load_data
from noiseforge.data.clips import Clips
from noiseforge.data.manifest import COLUMNS, write_manifest
from noiseforge.errors import UserError


def recordings(root: Path) -> Path:
    for label in ("no", "yes"):
        for speaker in ("ann", "bob"):
            for index in range(4):
                write(root / f"{label}-{speaker}-{index}.flac", tone(0.05 + 0.01 * index, 200 + 10 * len(label)))
    return root


def names(part: object) -> list[str]:
    assert isinstance(part, Clips)
    return sorted({part.takes[index].path.name for index in part.table.take[part.rows].tolist()})


@pytest.mark.parametrize("place", ["sound/manifest.csv", "lists/all.csv"])
def test_reading_back_gives_the_same_split(tmp_path: Path, place: str) -> None:
    root = recordings(tmp_path / "sound")
    data = load_data(root, labels_from="{label}-{speaker}-{index}", test_fraction=0.25, seed=3, longest=0.06)
    write_manifest(tmp_path / place, data)
    lines = (tmp_path / place).read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS) and len(lines) == 17
    again = load_data(root if place.startswith("sound") else tmp_path / place, longest=0.06, seed=9)
    assert names(again.train) == names(data.train) and names(again.test) == names(data.test)
    assert again.spec.classes == ("no", "yes") and again.spec.speakers == ("ann", "bob")
    assert isinstance(again.train, Clips) and isinstance(data.train, Clips)
    assert torch.equal(again.train.labels.bincount(), data.train.labels.bincount())


def test_a_file_that_was_changed_is_named(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.csv", load_data(recordings(tmp_path)))
    write(tmp_path / "no-bob-2.flac", tone(0.3))
    with pytest.raises(UserError, match=r"no-bob-2\.flac is not the file that .*manifest\.csv names"):
        load_data(tmp_path)
    (tmp_path / "no-ann-1.flac").unlink()
    rest = load_data(tmp_path, on_bad_file="skip")
    assert len(rest.train) + len(rest.test) == 14
    assert rest.problems == (
        "recordings that are missing or not those of the manifest, left out: 2, the first is no-ann-1.flac",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\na.wav,x\n", "holds file, label: expected a CSV with the columns path"),
        ("", "holds no line"),
        ("path\nmissing.wav\n", r"names 'missing\.wav' in line 2, and there is no such file"),
        ("path,label\na.wav,x\nb.wav,\n", "has no label in 1 of 2 lines, the first is line 3"),
        ("path,split\na.wav,train\nb.wav,dev\n", "split 'dev' in line 3: expected train or test"),
        ("path,split\na.wav,test\nb.wav,test\n", "nothing to learn from"),
        ("path\na.wav\na.wav\n", "names a file twice"),
        ("path,lable\na.wav,x\nb.wav,y\n", "unknown column of .* 'lable', did you mean 'label'"),
        ("path,label\n,x\nb.wav,y\n", "names no file in line 2"),
    ],
)
def test_manifests_that_do_not_fit(tmp_path: Path, content: str, message: str) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.wav")
    (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        load_data(tmp_path)


def test_a_manifest_without_a_split_is_split(tmp_path: Path) -> None:
    for name in "abcd":
        write(tmp_path / f"{name}.wav", tone(hertz=100 * ord(name) - 9000))
    (tmp_path / "manifest.csv").write_text("path,label\n" + "".join(f"{name}.wav,{name}\n" for name in "abcd"))
    data = load_data(tmp_path)
    assert (len(data.train), len(data.test), data.spec.classes) == (3, 1, ("a", "b", "c", "d"))
    with pytest.raises(UserError, match="leave labels_from out"):
        load_data(tmp_path / "manifest.csv", labels_from="folders")


def test_only_files_have_a_manifest(tmp_path: Path) -> None:
    for source in ("digits", "tones"):
        with pytest.raises(UserError, match="expected the data of a folder of recordings"):
            write_manifest(tmp_path / "m.csv", load_data(source))

"""Samples are saved by ending, read back as they were, and nothing but saved samples is ever replaced."""

import errno

import numpy as np
import pytest
import torch
from PIL import Image

from noiseforge.data import load_data, saving
from noiseforge.data.pictures import grid, to_uint8
from noiseforge.data.saving import save_samples
from noiseforge.data.spec import Spec
from noiseforge.errors import UserError

IMAGES = Spec(source="x", modality="image", shape=(1, 8, 8), classes=("../a", "é"), fingerprint="")
POINTS = Spec(
    source="x",
    modality="point",
    shape=(2,),
    classes=("a", "b"),
    offset=1.0,
    scale=2.0,
    value_range=None,
    fingerprint="",
)


def samples(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_images_are_saved_by_ending(tmp_path):
    x, labels = samples(4, 1, 8, 8), torch.tensor([0, 1, 1, 0])
    for name in ("a.png", "a.npy", "deep/a.npz", "a.gif"):
        save_samples(tmp_path / name, x, IMAGES, labels)
    assert Image.open(tmp_path / "a.png").size == grid(x).size
    assert Image.open(tmp_path / "a.gif").n_frames == 4
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), x.numpy())
    with np.load(tmp_path / "deep/a.npz") as saved:
        np.testing.assert_array_equal(saved["labels"], labels.numpy())
    again = load_data(tmp_path / "deep/a.npz", test_fraction=0.5)
    assert again.spec.classes == ("0", "1") and again.spec.offset == 0
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_of_samples_is_a_source_again(tmp_path):
    x = samples(4, 1, 8, 8)
    save_samples(f"{tmp_path}/out.d/", x, IMAGES, torch.tensor([0, 1, 1, 0]))
    names = sorted(path.relative_to(tmp_path / "out.d").as_posix() for path in (tmp_path / "out.d").rglob("*.png"))
    assert names == ["_._a/00000.png", "_._a/00003.png", "é/00001.png", "é/00002.png"]
    data = load_data(tmp_path / "out.d", test_fraction=0.5)
    parts = [part.batch(torch.arange(2)) for part in (data.train, data.test)]
    values = np.sort(np.concatenate([to_uint8(part.x).reshape(2, 64) for part in parts]), axis=0)
    np.testing.assert_array_equal(values, np.sort(to_uint8(x).reshape(4, 64), axis=0))
    (tmp_path / "empty").mkdir()
    save_samples(tmp_path / "empty", x, IMAGES)
    assert len(list((tmp_path / "empty").iterdir())) == 4


def test_points_are_saved_in_source_units(tmp_path):
    x = samples(3, 2)
    for name in ("a.csv", "a.npy", "a.png"):
        save_samples(tmp_path / name, x, POINTS, torch.tensor([0, 1, 0]))
    np.testing.assert_allclose(np.load(tmp_path / "a.npy"), 1 + 2 * x.numpy())
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "x0,x1,label" and lines[2].endswith(",b")
    assert float(lines[1].split(",")[0]) == pytest.approx(1 + 2 * float(x[0, 0]))


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("a.jpg", IMAGES, r"cannot be saved as '\.jpg'"),
        ("a.csv", IMAGES, "is for points"),
        ("a.gif", POINTS, "points are saved as"),
        ("a", POINTS, "points are saved as"),
        ("file/a.png", IMAGES, "cannot write"),
        ("file/a", IMAGES, "cannot write"),
        ("file/a.npz", IMAGES, "cannot write"),
    ],
)
def test_refusals(tmp_path, name, spec, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        save_samples(tmp_path / name, samples(2, *spec.shape), spec)


def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    save_samples(path, samples(2, 1, 8, 8), IMAGES)
    before = path.read_bytes()

    def full(file, array):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saving.np, "save", full)
    with pytest.raises(UserError, match="No space left on device"):
        save_samples(path, samples(3, 1, 8, 8), IMAGES, overwrite=True)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["out", "out.npy"])
def test_what_is_there_is_replaced_only_when_asked(tmp_path, name):
    save_samples(tmp_path / name, samples(5, 1, 8, 8), IMAGES)
    with pytest.raises(UserError, match="--overwrite"):
        save_samples(tmp_path / name, samples(3, 1, 8, 8), IMAGES)
    save_samples(tmp_path / name, samples(3, 1, 8, 8), IMAGES, torch.tensor([0, 1, 1]), overwrite=True)
    assert len(list(tmp_path.rglob("*.png"))) == 3 * (name == "out") and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("foreign", ["00001.png", "a/b.png", "notes.txt", "link"])
def test_a_folder_that_holds_anything_else_is_kept(tmp_path, foreign):
    """Pictures of one's own bear the same names, and are still no saved samples."""
    folder, own = tmp_path / "out", Image.new("L", (8, 8))
    save_samples(folder, samples(1, 1, 8, 8), IMAGES)
    (folder / foreign).parent.mkdir(exist_ok=True)
    own.save(tmp_path / "own.png")
    if foreign == "link":
        (folder / foreign).symlink_to(tmp_path)
    else:
        (folder / foreign).write_bytes((tmp_path / "own.png").read_bytes())
    with pytest.raises(UserError, match=f"holds more than saved samples .{foreign.split('/')[-1]}"):
        save_samples(folder, samples(3, 1, 8, 8), IMAGES, overwrite=True)
    assert len(list(folder.rglob("*"))) == (3 if "/" in foreign else 2)


def test_a_folder_stays_where_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    save_samples(tmp_path / "out", samples(2, 1, 8, 8), IMAGES)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: (_ for _ in ()).throw(full))
    with pytest.raises(UserError, match="No space left on device"):
        save_samples(tmp_path / "out", samples(3, 1, 8, 8), IMAGES, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and len(list((tmp_path / "out").iterdir())) == 2

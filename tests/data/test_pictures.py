import errno

import numpy as np
import pytest
import torch
from PIL import Image

from noiseforge.data import load_data, pictures
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


def test_to_uint8_undoes_the_scaling_of_8_bits():
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert pictures.to_uint8((values.float() - 127.5) / 127.5).flatten().tolist() == list(range(256))


@pytest.mark.parametrize(("side", "factor"), [(8, 7), (28, 2), (64, 1)])
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_grid_places_every_image(side, factor, channels, mode):
    x = samples(5, channels, side, side)
    image = pictures.grid(x, columns=3, pad=2)
    tile = side * factor
    assert image.mode == mode and image.size == (3 * (tile + 2) + 2, 2 * (tile + 2) + 2)
    pixels = np.asarray(image).reshape(image.height, image.width, channels)
    corner = pixels[tile + 4 :: factor, tile + 4 :: factor][:side, :side]
    np.testing.assert_array_equal(corner, pictures.to_uint8(x)[4])
    assert (pixels[tile + 4 :, 2 * tile + 6 :] == pictures.BACKGROUND).all()
    assert pictures.strip(x).size == (5 * (tile + 2) + 2, tile + 4)


def test_scatter_draws_points_where_they_are():
    points = torch.tensor([[1.0, 1.0]]).repeat(50, 1)
    reference = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    pixels = np.asarray(pictures.scatter(points, reference, title="t")).astype(int)
    orange = np.argwhere(np.abs(pixels - [194, 65, 12]).sum(-1) < 60)
    upper_right = orange[:, 0].mean() < pixels.shape[0] / 2 < orange[:, 1].mean()
    assert upper_right
    assert pictures.show(samples(9, 2), POINTS, reference=samples(9, 2)).size == (600, 600)
    assert pictures.scatter(samples(9, 1)).size == (600, 600)


def test_images_are_saved_by_ending(tmp_path):
    x, labels = samples(4, 1, 8, 8), torch.tensor([0, 1, 1, 0])
    for name in ("a.png", "a.npy", "deep/a.npz", "a.gif"):
        pictures.save_samples(tmp_path / name, x, IMAGES, labels)
    assert Image.open(tmp_path / "a.png").size == pictures.grid(x).size
    assert Image.open(tmp_path / "a.gif").n_frames == 4
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), x.numpy())
    with np.load(tmp_path / "deep/a.npz") as saved:
        np.testing.assert_array_equal(saved["labels"], labels.numpy())
    again = load_data(tmp_path / "deep/a.npz", test_fraction=0.5)
    assert again.spec.classes == ("0", "1") and again.spec.offset == 0
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_of_samples_is_a_source_again(tmp_path):
    x = samples(4, 1, 8, 8)
    pictures.save_samples(f"{tmp_path}/out.d/", x, IMAGES, torch.tensor([0, 1, 1, 0]))
    names = sorted(
        path.relative_to(tmp_path / "out.d").as_posix() for path in (tmp_path / "out.d").rglob("*.png")
    )
    assert names == ["_._a/00000.png", "_._a/00003.png", "é/00001.png", "é/00002.png"]
    data = load_data(tmp_path / "out.d", test_fraction=0.5)
    parts = [part.batch(torch.arange(2)) for part in (data.train, data.test)]
    values = np.sort(np.concatenate([pictures.to_uint8(part.x).reshape(2, 64) for part in parts]), axis=0)
    np.testing.assert_array_equal(values, np.sort(pictures.to_uint8(x).reshape(4, 64), axis=0))
    with pytest.raises(UserError, match="not empty"):
        pictures.save_samples(tmp_path / "out.d", x, IMAGES)
    (tmp_path / "empty").mkdir()
    pictures.save_samples(tmp_path / "empty", x, IMAGES)
    assert len(list((tmp_path / "empty").iterdir())) == 4


def test_points_are_saved_in_source_units(tmp_path):
    x = samples(3, 2)
    for name in ("a.csv", "a.npy", "a.png"):
        pictures.save_samples(tmp_path / name, x, POINTS, torch.tensor([0, 1, 0]))
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
        pictures.save_samples(tmp_path / name, samples(2, *spec.shape), spec)


def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    pictures.save_samples(path, samples(2, 1, 8, 8), IMAGES)
    before = path.read_bytes()

    def full(file, array):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pictures.np, "save", full)
    with pytest.raises(UserError, match="No space left on device"):
        pictures.save_samples(path, samples(3, 1, 8, 8), IMAGES)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (2, 2, 8, 8), (2, 8)])
def test_what_cannot_be_shown(shape):
    with pytest.raises(UserError, match="can be shown"):
        pictures.grid(samples(*shape))

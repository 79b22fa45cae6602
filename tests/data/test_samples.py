"""Samples from files and arrays come back as the model that made them would see them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from noiseforge.data.samples import Samples, as_samples, read_samples, relabelled
from noiseforge.data.saving import save_samples
from noiseforge.data.spec import Spec
from noiseforge.errors import UserError

IMAGES = Spec(source="x", modality="image", shape=(1, 8, 8), classes=("a", "b"), fingerprint="")
POINTS = Spec(source="x", modality="point", shape=(2,), value_range=None, offset=3.0, scale=2.0, fingerprint="")


def drawn(spec: Spec) -> torch.Tensor:
    return torch.rand(6, *spec.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(("name", "error"), [("s.npy", 1e-6), ("s.npz", 1e-6), ("s/", 1 / 255)])
def test_saved_pictures_are_read_back(tmp_path: Path, name: str, error: float) -> None:
    x, y = drawn(IMAGES), torch.tensor([0, 0, 0, 1, 1, 1])
    save_samples(f"{tmp_path}/{name}", x, IMAGES, None if name == "s.npy" else y)
    read = read_samples(tmp_path / name, IMAGES)
    torch.testing.assert_close(read.x, x, atol=error, rtol=0)
    assert read.y is None if name == "s.npy" else torch.equal(read.y, y)


def test_points_keep_the_units_of_the_real_data(tmp_path: Path) -> None:
    x = drawn(POINTS)
    save_samples(tmp_path / "p.npy", x, POINTS)
    torch.testing.assert_close(read_samples(tmp_path / "p.npy", POINTS).x, x)
    torch.testing.assert_close(as_samples(np.load(tmp_path / "p.npy"), POINTS).x, x)


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [(np.uint8, 0, 255), (np.int64, 0, 255), (np.float32, 0, 1), (np.float64, -1, 1)]
)
def test_an_array_is_read_as_the_same_file_is(tmp_path: Path, dtype: type, low: int, high: int) -> None:
    array = np.linspace(low, high, 128).reshape(2, 1, 8, 8).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    read = read_samples(tmp_path / "a.npy", IMAGES).x
    assert (float(read.min()), float(read.max())) == (-1, 1)
    torch.testing.assert_close(as_samples(array, IMAGES).x, read)
    torch.testing.assert_close(as_samples(torch.from_numpy(array), IMAGES).x, read)


def test_labels_that_are_no_classes_are_left_out(tmp_path: Path) -> None:
    save_samples(tmp_path / "s", drawn(IMAGES), IMAGES, torch.zeros(6, dtype=torch.int64))
    assert read_samples(tmp_path / "s", IMAGES.model_copy(update={"classes": ("c",)})).y is None


def test_samples_of_other_data_are_relabelled_by_name() -> None:
    own = IMAGES.model_copy(update={"classes": ("a", "b", "c"), "speakers": ("ann", "bob")})
    real = IMAGES.model_copy(update={"classes": ("c", "b", "a"), "speakers": ("bob",)})
    samples = Samples(drawn(IMAGES)[:2], torch.tensor([0, 1]), None, torch.tensor([1, 1]))
    found = relabelled(samples, own, real)
    assert found.y.tolist() == [2, 1] and found.speaker.tolist() == [0, 0] and found.x is samples.x
    found = relabelled(samples._replace(speaker=torch.tensor([0, 1])), own, real)
    assert found.y.tolist() == [2, 1] and found.speaker is None, "ann is not one of them"


def test_samples_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).random((4, 3)))
    with pytest.raises(UserError, match=r"wide.npy holds samples of shape \(3,\), the real data are \(2,\)"):
        read_samples(tmp_path / "wide.npy", POINTS)
    with pytest.raises(UserError, match=r"expected a run, .npy or .npz"):
        read_samples(tmp_path, POINTS)
    np.save(tmp_path / "sound.npy", np.zeros((4, 1, 300), np.float32))
    with pytest.raises(UserError, match=r"sound.npy has shape \(4, 1, 1, 300\): the sides of pictures must be above 1"):
        read_samples(tmp_path / "sound.npy", IMAGES)
    with pytest.raises(UserError, match=r"must have shape \(N, 1, 8, 8\), got \(4, 8, 8\)"):
        as_samples(torch.zeros(4, 8, 8), IMAGES)
    with pytest.raises(UserError, match=r"float32 values from 0 to 255; expected whole numbers 0\.\.255"):
        as_samples(torch.arange(256.0).reshape(4, 1, 8, 8), IMAGES)
    with pytest.raises(UserError, match="NaN or infinite values in 1 of 4 examples, the first at index 2"):
        as_samples(torch.zeros(4, 1, 8, 8).index_fill(0, torch.tensor([2]), torch.nan), IMAGES)

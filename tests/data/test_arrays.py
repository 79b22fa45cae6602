import numpy as np
import pytest
import torch

from noiseforge.data import load_data
from noiseforge.errors import UserError


def random_bytes(*shape):
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8).numpy()


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 9, 9), (1, 9, 9)),
        ((5, 3, 8, 8), (3, 8, 8)),
        ((5, 8, 8, 3), (3, 8, 8)),
        ((5, 12, 10, 1), (1, 10, 10)),
    ],
)
def test_layouts(tmp_path, shape, expected):
    np.save(tmp_path / "a.npy", random_bytes(*shape))
    assert load_data(tmp_path / "a.npy").spec.shape == expected


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 255, np.uint8), (0, 255, np.int64), (0, 1, np.float64), (-1, 1, np.float32)],
)
def test_every_range_becomes_minus_one_to_one_and_back(tmp_path, low, high, dtype):
    steps = np.linspace(0, 1, 2 * 64).reshape(2, 8, 8)
    values = (low + (high - low) * steps).astype(dtype)
    data = load_data(save(tmp_path / "a.npz", x_train=values, x_test=values))
    x = data.train.batch(torch.arange(2)).x
    assert x.dtype == torch.float32 and (x.min(), x.max()) == (-1, 1)
    np.testing.assert_allclose(data.spec.offset + data.spec.scale * x[:, 0].numpy(), values, atol=1e-5)


def test_official_split_labels_and_subset(tmp_path):
    x, y = random_bytes(30, 8, 8), np.array(["b", "a", "c"] * 10)
    path = save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    data = load_data(path)
    assert (len(data.train), len(data.test), data.spec.classes) == (30, 4, ("a", "b", "c"))
    batch = data.train.batch(torch.tensor([4, 1, 1]))
    assert batch.y.tolist() == [0, 0, 0]
    np.testing.assert_array_equal((batch.x[:, 0] * 127.5 + 127.5).round().numpy(), x[[4, 1, 1]])
    few = load_data(path, labels_per_class=2)
    assert torch.bincount(few.train.labels).tolist() == [2, 2, 2] and len(few.test) == 4
    assert few.spec.fingerprint != data.spec.fingerprint == load_data(path, seed=1).spec.fingerprint


def test_points_are_standardised(tmp_path):
    points = 5 + 3 * np.random.default_rng(0).standard_normal((200, 4))
    np.save(tmp_path / "p.npy", points)
    data = load_data(tmp_path / "p.npy")
    x = data.train.batch(torch.arange(len(data.train))).x
    assert data.spec.modality == "point" and data.spec.shape == (4,) and data.spec.value_range is None
    assert data.spec.offset == pytest.approx(points.mean()) and data.spec.scale == pytest.approx(points.std())
    assert abs(float(x.mean())) < 0.1


def test_size_and_channels_of_arrays(tmp_path):
    colour = np.zeros((4, 20, 20, 3), np.uint8)
    colour[..., 1] = 200
    np.save(tmp_path / "a.npy", colour)
    data = load_data(tmp_path / "a.npy", size=8, channels=1)
    assert data.spec.shape == (1, 8, 8)
    values = data.train.batch(torch.tensor([0])).x * 127.5 + 127.5
    assert torch.allclose(values, torch.tensor(117.0), atol=1e-4)  # 0.587 * 200 = 117.4
    np.save(tmp_path / "b.npy", colour[..., 1])
    x = load_data(tmp_path / "b.npy", size=16, channels=3).train.batch(torch.tensor([0])).x
    assert x.shape == (1, 3, 16, 16) and torch.equal(x[:, 0], x[:, 2])


def with_nan():
    values = np.zeros((6, 8, 8), np.float32)
    values[4, 0, 0] = np.nan
    return values


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": with_nan()}, "1 of 6 examples, the first at index 4"),
        ({"x": np.linspace(0, 255, 640).reshape(10, 8, 8)}, "from 0 to 255; expected"),
        ({"x": np.full((4, 8, 8), -3)}, "from -3 to -3"),
        ({"x": random_bytes(4, 3, 8, 3)}, "both be channels"),
        ({"x": random_bytes(4, 8, 8, 4)}, "no axis has 1 or 3"),
        ({"x": random_bytes(4, 784)}, "reshape them to"),
        ({"x": random_bytes(4)}, "has shape"),
        ({"x": random_bytes(0, 8, 8)}, "has shape"),
        ({"x": random_bytes(1, 8, 8)}, "at least 2"),
        ({"x": random_bytes(4, 8, 8), "y": np.arange(3)}, "as many labels"),
        ({"x": random_bytes(4, 8, 8), "y": np.eye(4)}, "one an example"),
        ({"x": random_bytes(4, 8, 8), "y": np.arange(4) / 3}, "whole numbers or text"),
        ({"x": np.zeros((9, 2))}, "nothing to learn"),
        ({"wrong": random_bytes(4, 8, 8)}, "holds wrong; expected x"),
        ({"x_train": random_bytes(4, 8, 8), "x_test": random_bytes(4, 9, 9)}, "must agree"),
        (
            {"x_train": random_bytes(2, 8, 8), "y_train": np.ones(2), "x_test": random_bytes(2, 8, 8)},
            "y_test",
        ),
        ({"x": np.array([["a", "b"]] * 4)}, "expected uint8 or floats"),
        ({"x": np.array([{}, None])}, "Python objects"),
    ],
)
def test_bad_arrays_are_told_in_one_line(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message) as caught:
        load_data(save(tmp_path / "a.npz", **arrays))
    assert "\n" not in str(caught.value) and "a.npz" in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"garbage", "corrupt|objects"), (None, "corrupt")])
@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_broken_array_files(tmp_path, ending, content, message):
    path = tmp_path / f"a{ending}"
    np.savez(path, x=random_bytes(4, 8, 8)) if ending == ".npz" else np.save(path, random_bytes(4, 8, 8))
    path.write_bytes(path.read_bytes()[:150] if content is None else content)
    with pytest.raises(UserError, match=message):
        load_data(path)


def test_objects_are_refused_and_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    with pytest.raises(UserError, match="never loaded"):
        load_data(tmp_path / "a.npy")

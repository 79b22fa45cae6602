import gzip
import struct

import numpy as np
import pytest
import torch

from noiseforge.data import load_data
from noiseforge.errors import UserError


def write_idx(path, values, magic=None):
    header = bytes((0, 0, 8, values.ndim)) if magic is None else magic
    content = header + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(params=["-idx{}-ubyte", ".idx{}-ubyte", "-idx{}-ubyte.gz"])
def folder(tmp_path, request):
    names = request.param
    values = (np.arange(30 * 64) % 251).astype(np.uint8).reshape(30, 8, 8)
    labels = (np.arange(30) % 3).astype(np.uint8)
    for part, rows in (("train", slice(0, 24)), ("t10k", slice(24, 30))):
        write_idx(tmp_path / f"{part}-images{names.format(3)}", values[rows])
        write_idx(tmp_path / f"{part}-labels{names.format(1)}", labels[rows])
    return tmp_path


def test_official_split_and_values(folder):
    data = load_data(folder)
    assert (len(data.train), len(data.test)) == (24, 6) and data.spec.classes == ("0", "1", "2")
    batch = data.test.batch(torch.tensor([1]))
    values = (np.arange(30 * 64) % 251).reshape(30, 8, 8)[25]
    np.testing.assert_allclose(batch.x[0, 0].numpy() * 127.5 + 127.5, values, atol=1e-4)
    assert batch.y.tolist() == [1]
    assert load_data(folder, size=16).train.batch(torch.arange(3)).x.abs().max() <= 1


def test_without_a_test_set_it_is_split(folder):
    for path in folder.glob("t10k*"):
        path.unlink()
    data = load_data(folder, test_fraction=0.25)
    assert (len(data.train), len(data.test)) == (18, 6)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("train-images-idx3-ubyte", lambda b: b[:-5], "truncated"),
        ("train-images-idx3-ubyte", lambda b: b[:7], "truncated"),
        ("train-images-idx3-ubyte", lambda b: b"", "truncated|header"),
        ("train-labels-idx1-ubyte", lambda b: b"\0\0\x0b\1" + b[4:], "begins with 00000b01"),
        (
            "train-labels-idx1-ubyte",
            lambda b: b[:4] + struct.pack(">I", 23) + b[8:-1],
            "23 labels for 24 images",
        ),
    ],
)
def test_damage_names_the_file(tmp_path, ending, name, damage, message):
    parts = {
        "train-images-idx3-ubyte": np.zeros((24, 8, 8), np.uint8),
        "train-labels-idx1-ubyte": np.zeros(24, np.uint8),
    }
    for part, values in parts.items():
        write_idx(tmp_path / part, values)
        content = (tmp_path / part).read_bytes()
        content = damage(content) if part == name else content
        (tmp_path / part).unlink()
        (tmp_path / f"{part}{ending}").write_bytes(gzip.compress(content) if ending else content)
    with pytest.raises(UserError, match=message) as caught:
        load_data(tmp_path)
    assert name in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [(lambda b: b[: len(b) // 2], "truncated"), (lambda b: b"no", "gzip")])
def test_truncated_gzip(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    write_idx(path, np.zeros((24, 8, 8), np.uint8))
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        load_data(tmp_path)


@pytest.mark.parametrize(
    ("missing", "message"), [("t10k-labels", "labels for train alone"), ("train-images", "no train")]
)
def test_missing_parts(folder, missing, message):
    next(folder.glob(f"{missing}*")).unlink()
    with pytest.raises(UserError, match=message):
        load_data(folder)


def test_mnist_has_its_known_moments(shared_data):
    data = load_data(shared_data / "mnist")
    assert (len(data.train), len(data.test), data.spec.shape) == (60_000, 10_000, (1, 28, 28))
    x = data.train.batch(torch.arange(60_000)).x.double()
    assert float((x.mean() + 1) / 2) == pytest.approx(0.1307, abs=5e-5)
    assert float(x.std() / 2) == pytest.approx(0.3081, abs=5e-5)
    assert torch.bincount(data.train.labels).tolist()[:2] == [5923, 6742]

import numpy as np
import pytest
import torch
from PIL import Image

from noiseforge.data import folder as folder_module
from noiseforge.data import load_data
from noiseforge.errors import UserError


def picture(path, size=(16, 16), mode="L", colour=128, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


def value(root, **options):
    """The 8-bit values of the one colour of the first training picture."""
    data = load_data(root, **options)
    x = data.train.batch(torch.tensor([0])).x[0] * 127.5 + 127.5
    assert float((x - x[:, :1, :1]).abs().max()) < 1e-3
    return [round(v) for v in x[:, 0, 0].tolist()]


@pytest.mark.parametrize(
    ("name", "mode", "colour", "expected"),
    [
        ("a.png", "L", 77, [77]),
        ("a.png", "1", 1, [255]),
        ("a.png", "I;16", 257 * 77, [77]),
        ("a.tif", "I;16", 257 * 77, [77]),
        ("a.png", "LA", (77, 0), [255]),
        ("a.png", "RGB", (10, 20, 30), [10, 20, 30]),
        ("a.BMP", "RGB", (10, 20, 30), [10, 20, 30]),
        ("a.png", "RGBA", (0, 0, 0, 51), [204, 204, 204]),
        ("a.webp", "RGB", (255, 255, 255), [255, 255, 255]),
        ("a.jpg", "CMYK", (0, 0, 0, 0), [255, 255, 255]),
        ("a.gif", "P", 0, [0, 0, 0]),
    ],
)
def test_modes_become_8_bits(tmp_path, name, mode, colour, expected):
    for index in range(2):
        picture(tmp_path / f"{index}{name}", mode=mode, colour=colour)
    found = value(tmp_path, channels=len(expected))
    assert found == expected
    if mode != "P":
        assert value(tmp_path) == expected


def test_exif_orientation_is_honoured(tmp_path):
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    for index in range(2):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png", exif=exif)
    x = load_data(tmp_path).train.batch(torch.tensor([0])).x[0, 0]
    assert x[0, 0] == -1 and x[-1, 0] == 1


@pytest.mark.parametrize(
    ("sizes", "asked", "side"),
    [
        ([(20, 20)] * 3, None, 20),
        ([(100, 30), (40, 30)], None, 30),
        ([(70, 70), (70, 99), (40, 50)], None, 64),
        ([(300, 400)] * 2, None, 256),
        ([(3, 3)] * 2, None, 8),
        ([(100, 30), (5, 300)], 11, 11),
    ],
)
def test_sizes(tmp_path, sizes, asked, side):
    for index, size in enumerate(sizes):
        picture(tmp_path / f"{index}.png", size=size, colour=99)
    assert load_data(tmp_path, size=asked).spec.shape == (1, side, side)
    assert value(tmp_path, size=asked) == [99]


def test_classes_unicode_hidden_and_other_files(tmp_path):
    for name, colour in (("katze", 50), ("ねこ", 200)):
        for index in range(5):
            picture(tmp_path / name / "deep" / f"ü{index}.png", colour=colour)
    (tmp_path / "katze" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "katze" / "notes.txt").write_text("x")
    (tmp_path / ".hidden").mkdir()
    picture(tmp_path / ".hidden" / "a.png")
    data = load_data(tmp_path, test_fraction=0.2)
    assert data.spec.classes == ("katze", "ねこ") and (len(data.train), len(data.test)) == (8, 2)
    assert len(data.problems) == 1 and data.problems[0].endswith("left out: 1")
    batch = data.train.batch(torch.arange(8))
    assert torch.equal(batch.x[:, 0, 0, 0] > 0, batch.y == 1)


@pytest.mark.parametrize("held", ["test", "val"])
def test_train_and_test_folders_are_the_split(tmp_path, held):
    for part, count in (("train", 6), (held, 2)):
        for index in range(count):
            picture(tmp_path / part / str(index % 2 * 10) / f"{index}.png", colour=index)
    data = load_data(tmp_path)
    assert (len(data.train), len(data.test)) == (6, 2) and data.spec.classes == ("0", "10")
    assert data.test.labels.tolist() == [0, 1]
    picture(tmp_path / held / "new" / "a.png")
    with pytest.raises(UserError, match="class 'new'"):
        load_data(tmp_path)


def test_one_class_folder_and_classes_of_one(tmp_path):
    for index in range(4):
        picture(tmp_path / "a" / f"{index}.png")
    data = load_data(tmp_path)
    assert data.spec.classes == () and data.train.labels is None and "unlabelled" in data.problems[0]
    with pytest.raises(UserError, match="needs labels"):
        load_data(tmp_path, labels_per_class=1)
    picture(tmp_path / "b" / "0.png")
    data = load_data(tmp_path)
    assert torch.bincount(data.train.labels).tolist() == [3, 1] and data.problems[0].endswith("1: b")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def bomb(path):
    Image.new("1", (20_000, 20_000)).save(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "truncated|broken|corrupt"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(b"not a picture"), "no picture"),
        (bomb, "so many pixels"),
        (lambda path: (path.unlink(), path.symlink_to(path.parent / "gone")), "No such file"),
    ],
)
@pytest.mark.parametrize("kept", [2**30, 0])
def test_bad_files_stop_or_are_skipped(tmp_path, monkeypatch, damage, message, kept):
    monkeypatch.setattr(folder_module, "KEPT_BYTES", kept)
    pixels = torch.randint(256, (16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8).numpy()
    for index in range(4):
        Image.fromarray(pixels + np.uint8(index)).save(tmp_path / f"{index}.png")
    damage(tmp_path / "1.png")
    with pytest.raises(UserError, match=message) as caught:
        load_data(tmp_path)
    assert "1.png" in str(caught.value) and "--on-bad-file skip" in str(caught.value)
    data = load_data(tmp_path, on_bad_file="skip", test_fraction=0.5)
    assert len(data.train) + len(data.test) == 3
    assert "left out: 1: 1.png (" in data.problems[0]
    both = torch.cat([part.batch(torch.arange(len(part))).x for part in (data.train, data.test)])
    assert sorted(((both[:, 0] * 127.5 + 127.5).round().to(torch.uint8)[:, 0, 0] - pixels[0, 0]).tolist()) == [0, 2, 3]


def test_large_sets_are_told_at_first_touch(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "CHECKED_FILES", 3)
    for index in range(4):
        picture(tmp_path / f"{index}.png", size=(64, 64))
    truncated(tmp_path / "2.png")
    data = load_data(tmp_path)
    with pytest.raises(UserError, match=r"2\.png"):
        for part in (data.train, data.test):
            part.batch(torch.arange(len(part)))


def test_fingerprint_follows_content_and_not_time(tmp_path):
    for index in range(3):
        picture(tmp_path / f"{index}.bmp", colour=index)
    first = load_data(tmp_path).spec.fingerprint
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes())
    assert load_data(tmp_path).spec.fingerprint == first != load_data(tmp_path, size=8).spec.fingerprint
    for index in range(3):
        picture(tmp_path / f"{index}.bmp", colour=index + 9)
    assert load_data(tmp_path).spec.fingerprint != first


def test_folders_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="at least 2 are needed"):
        load_data(tmp_path)
    one = picture(tmp_path / "a.png")
    for source, message in ((tmp_path, "holds one picture"), (one, "one picture")):
        with pytest.raises(UserError, match=message):
            load_data(source)
    picture(tmp_path / "class" / "b.png")
    with pytest.raises(UserError, match="beside the class folders"):
        load_data(tmp_path)


def test_a_folder_without_permission(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(folder_module.Path, "iterdir", refuse)
    with pytest.raises(UserError, match="Permission denied; check"):
        load_data(tmp_path)

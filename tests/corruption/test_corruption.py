import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from noiseforge.corruption import Corruption, parse
from noiseforge.corruption.compose import KINDS
from noiseforge.errors import UserError

VALUES = {"gaussian": 0.3, "snr": 5, "drop": 0.3, "translate": 0.25, "flip": 0.5}
EACH = [f"{name}:{VALUES.get(name, 0.5)}" for name in KINDS["image"]]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, channels: int = 3, side: int = 12, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, channels, side, side, generator=rng(9), dtype=dtype)


# -- as text


@pytest.mark.parametrize("text", ["", *EACH, "blur:1.5 | gaussian:1e-05", " snr:-5|flip "])
def test_text_is_read_and_written_without_loss(text: str) -> None:
    corruption = parse(text)
    assert parse(str(corruption)) == corruption
    assert hash(parse(str(corruption))) == hash(corruption)


def test_joined_corruptions_act_from_left_to_right() -> None:
    x = images(4)
    first, second = parse("gaussian:0.5"), parse("blur:1")
    generator = rng()
    expected = second(first(x, generator=generator), generator=generator)
    assert torch.equal((first | second)(x, generator=rng()), expected)
    assert str(first | second) == "gaussian:0.5 | blur:1"
    assert not torch.equal((second | first)(x, generator=rng()), expected)


@pytest.mark.parametrize(
    ("text", "modality", "message"),
    [
        ("gausian:1", "image", "did you mean 'gaussian'"),
        ("blur:1 | | flip", "image", "unknown corruption ''"),
        ("gaussian", "image", r"corruption gaussian needs sigma >= 0, got '': write gaussian:VALUE"),
        ("gaussian:-1", "image", "gaussian needs sigma >= 0, got '-1'"),
        ("snr:loud", "image", "snr needs dB, any number, got 'loud'"),
        ("snr:inf", "image", "got 'inf'"),
        ("drop:1.5", "image", "drop needs probability from 0 to 1, got '1.5'"),
        ("blur:1", "point", "unknown corruption 'blur'"),
        ("gaussian:1", "smell", "unknown modality"),
    ],
)
def test_a_mistake_is_named(text: str, modality: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text, modality)


def test_what_is_random_asks_for_a_generator_and_what_is_not_does_without() -> None:
    with pytest.raises(ValueError, match="generator"):
        parse("gaussian:1")(images(1))
    parse("blur:1")(images(1))


def test_corruptions_of_two_modalities_are_not_joined() -> None:
    with pytest.raises(ValueError, match="image and of point"):
        parse("flip") | parse("gaussian:1", "point")


# -- on images


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("text", EACH)
def test_each_keeps_shape_and_type_and_repeats_with_its_seed(text: str, channels: int) -> None:
    for x in (images(4, channels), images(4, channels).bfloat16(), images(1, channels, dtype=torch.float64)):
        state = torch.get_rng_state()
        y = parse(text)(x, generator=rng(3))
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        assert torch.equal(y, parse(text)(x, generator=rng(3)))
        assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("text", EACH)
def test_each_can_be_differentiated_twice(text: str) -> None:
    x = images(2, 2, 5, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: parse(text)(x, generator=rng()), x)
    assert torch.autograd.gradgradcheck(lambda x: parse(text)(x, generator=rng()).square(), x)


@pytest.mark.parametrize("decibels", [-10.0, 0.0, 5.0, 30.0])
def test_snr_is_exact_for_each_example(decibels: float) -> None:
    x = 0.3 * images(8) + 0.5
    noise = (parse(f"snr:{decibels}")(x, generator=rng()) - x).double().flatten(1)
    signal = x.double().flatten(1)
    signal = signal - signal.mean(1, keepdim=True)
    measured = 10 * torch.log10(signal.square().mean(1) / noise.square().mean(1))
    torch.testing.assert_close(measured, torch.full_like(measured, decibels), atol=1e-4, rtol=0)


def test_snr_leaves_a_constant_image_with_a_finite_gradient() -> None:
    x = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    y = parse("snr:5")(x, generator=rng())
    y.sum().backward()
    assert torch.equal(x, y)
    assert x.grad.isfinite().all()


def test_gaussian_noise_has_the_deviation_asked_for() -> None:
    noise = parse("gaussian:0.25")(torch.zeros(64, 3, 32, 32), generator=rng())
    assert noise.std().item() == pytest.approx(0.25, rel=0.01)
    assert noise.mean().item() == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize("sigma", [0.7, 1.5, 3.0])
def test_blur_is_the_mirrored_gaussian_filter(sigma: float) -> None:
    x = images(2, 2, 32, torch.float64)
    reach = -int(-4 * sigma // 1)
    expected = gaussian_filter(x.numpy(), sigma, mode="mirror", radius=reach, axes=(2, 3))
    torch.testing.assert_close(parse(f"blur:{sigma}")(x), torch.from_numpy(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", sorted(KINDS["image"].keys() - {"snr"}))
def test_a_level_of_zero_changes_nothing(name: str) -> None:
    torch.testing.assert_close(parse(f"{name}:0")(images(4), generator=rng()), images(4))


def test_translate_shifts_by_every_amount_up_to_its_ratio_and_brings_in_zero() -> None:
    side, count = 8, 400
    place = torch.arange(1.0, side**2 + 1).view(1, 1, side, side).expand(count, 1, side, side)
    moved = parse("translate:0.25")(place, generator=rng())
    seen = set()
    for image in moved[:, 0]:
        rows, columns = image.nonzero().T
        source = image[rows, columns].long() - 1
        shifts = {*zip((rows - source // side).tolist(), (columns - source % side).tolist(), strict=True)}
        assert len(shifts) == 1
        shift = shifts.pop()
        assert len(rows) == (side - abs(shift[0])) * (side - abs(shift[1]))
        seen.add(shift)
    assert seen == {(row, column) for row in range(-2, 3) for column in range(-2, 3)}


@pytest.mark.parametrize(("side", "length"), [(8, 4), (9, 3)])
def test_cutout_removes_one_square_centred_anywhere(side: int, length: int) -> None:
    y = parse(f"cutout:{length / side}")(torch.ones(600, 3, side, side), generator=rng())
    lost = y[:, 0] == 0
    assert torch.equal(y, (~lost)[:, None].expand_as(y).float())
    rows, columns = lost.any(2).sum(1), lost.any(1).sum(1)
    assert torch.equal(lost.sum((1, 2)), rows * columns)
    assert rows.max() == columns.max() == length
    assert rows.min() == columns.min() == length // 2 + length % 2
    placements = {(line.nonzero()[0].item(), line.sum().item()) for line in lost.any(2)}
    assert len(placements) == side + 1 - length % 2


def test_drop_loses_whole_pixels_at_its_rate() -> None:
    y = parse("drop:0.3")(torch.ones(64, 3, 32, 32), generator=rng())
    assert torch.equal(y.amin(1), y.amax(1))
    assert (y == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)


def test_colour_changes_keep_what_they_should() -> None:
    x = images(256)
    brighter = parse("brightness:0.5")(x, generator=rng()) - x
    torch.testing.assert_close(brighter, brighter[:, :1, :1, :1].expand_as(x), atol=1e-6, rtol=0)
    assert brighter.abs().max() <= 0.5 + 1e-6
    assert brighter.std().item() == pytest.approx(1 / 12**0.5, rel=0.1)

    means = x.mean((1, 2, 3))
    stretched = parse("contrast:0.5")(x, generator=rng())
    factors = stretched.std((1, 2, 3)) / x.std((1, 2, 3))
    torch.testing.assert_close(stretched.mean((1, 2, 3)), means, atol=1e-6, rtol=0)
    assert 0.5 <= factors.min() < 0.55 < 1.45 < factors.max() <= 1.5

    torch.testing.assert_close(parse("saturation:1")(x, generator=rng()).mean(1), x.mean(1), atol=1e-6, rtol=0)
    grey = x[:, :1].expand_as(x)
    torch.testing.assert_close(parse("saturation:1")(grey, generator=rng()), grey)


def test_points_take_gaussian_noise() -> None:
    corruption: Corruption = parse("gaussian:0.1", "point")
    assert corruption(torch.zeros(5, 2), generator=rng()).std() > 0

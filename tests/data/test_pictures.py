import numpy as np
import pytest
import torch

from noiseforge.data import pictures
from noiseforge.data.spec import Spec
from noiseforge.errors import UserError

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


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (2, 2, 8, 8), (2, 8)])
def test_what_cannot_be_shown(shape):
    with pytest.raises(UserError, match="can be shown"):
        pictures.grid(samples(*shape))

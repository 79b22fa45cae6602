"""The ways from a map to a vector and back."""

import torch

from noiseforge.networks.strided import Flat, Map


def test_a_map_becomes_a_vector_and_back_without_a_copy() -> None:
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    vector = Flat()(x)
    assert vector.shape == (2, 48)
    assert vector.data_ptr() == x.data_ptr()
    assert torch.equal(Map(3, 4)(vector), x)
    assert Map(3, 4)(vector).is_contiguous(memory_format=torch.channels_last)

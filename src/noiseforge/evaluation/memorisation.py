"""Whether samples are copies of training examples."""

from __future__ import annotations

from torch import Tensor

COPY = 1 / 255
"""Root mean square difference in [-1, 1] up to which two pictures are one: half a grey level of 8 bits."""


def nearest_ratio(samples: Tensor, held_out: Tensor) -> float:
    """Median distance of samples to their nearest training example, over that of held-out real examples.

    1 where samples lie as near to the training set as unseen real examples do; towards 0 where they are copied from it.

    Args:
        samples: (n,) distances, as `neighbours.nearest_examples` gives them.
        held_out: (m,) distances of real examples that are not in the training set, best with m = n.

    Returns:
        The ratio, infinite where half of the held-out examples are in the training set and the samples are not.

    >>> import torch
    >>> nearest_ratio(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 4.0, 9.0]))
    0.5
    """
    ours, real = samples.double().median(), held_out.double().median()
    return 1.0 if ours == real else float(ours / real)


def copies(distances: Tensor, dimension: int) -> Tensor:
    """Which samples (n,) differ by half a grey level or less from their nearest training example, as float64.

    Args:
        distances: (n,) Euclidean, between pictures of `dimension` values in [-1, 1].
    """
    return (distances <= COPY * dimension**0.5).double()

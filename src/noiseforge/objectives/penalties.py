"""Bounds on the slope of a discriminator: penalties, one value a sample, and clipping.

Squares of small gradients lose their digits in half precision, so what is penalised is computed in fp32.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


def gradient_norm_squared(logits: Tensor, x: Tensor) -> Tensor:
    """‖∂ logits / ∂x‖², summed over all but the first dimension.

    At real samples, γ/2 times its mean is R1; at generated samples, detached from their generator, it is R2.

    It takes logits and the input they came from, so that it shares a forward pass with the loss.

    Args:
        logits: any shape, computed from `x` in fp32. Where one depends on several rows (a pack, statistics of
            the batch), a row's gradient is that of the sum of all logits.
        x: (N, ...), requires grad.

    Returns:
        (N,), with a graph, so that a second backward reaches the discriminator's weights.

    Mescheder et al. 2018, eq. 9 and 10.

    >>> x = torch.zeros(1, 2, requires_grad=True)
    >>> gradient_norm_squared(x @ torch.tensor([3.0, 4.0]), x)
    tensor([25.])
    """
    return gradient_norms_squared(logits, [x])[0]


def gradient_norms_squared(logits: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """`gradient_norm_squared` for each of several inputs, from one backward pass."""
    gradients = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return [gradient.flatten(1).square().sum(1) for gradient in gradients]


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, generator: torch.Generator
) -> Tensor:
    """(‖∂D/∂x‖ − 1)² at random points on the lines from real i to generated i, giving (N,), in fp32.

    Args:
        discriminator: x (N, ...) -> logits; labels, packing and augmentation are bound in by the caller.
        real: (N, ...), taken as constants.
        fake: (N, ...), taken as constants.
        generator: draws where on each line, uniformly.

    Raises:
        ValueError: the two batches differ in shape.

    Gulrajani et al. 2017 (WGAN-GP), eq. 3, without its factor λ.
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"gradient_penalty joins pairs: real and fake must have one shape, "
            f"got {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    where = torch.rand(len(real), generator=generator, device=generator.device).to(real.device)
    with torch.autocast(real.device.type, enabled=False):
        x = torch.lerp(real.detach().float(), fake.detach().float(), where.view(-1, *[1] * (real.dim() - 1)))
        squared = gradient_norm_squared(discriminator(x.requires_grad_()), x)
    # The root has no slope at 0, where a discriminator that has died is.
    return ((squared + 1e-12).sqrt() - 1).square()


@torch.no_grad()
def clip_weights(parameters: Iterable[Tensor], bound: float) -> None:
    """Clamps every parameter to [−bound, bound], in place. Arjovsky et al. 2017, algorithm 1."""
    for parameter in parameters:
        parameter.clamp_(-bound, bound)

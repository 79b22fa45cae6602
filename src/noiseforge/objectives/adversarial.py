"""Adversarial losses on logits, in the order (real, fake). Each is minimised and gives one value a sample."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


def minimax_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """−log σ(real) − log(1 − σ(fake)), in nats: the cross-entropy of telling real from generated.

    Args:
        real: logits (N,) of real samples.
        fake: logits (N,) of generated samples.

    Returns:
        (N,), one value a pair.

    Raises:
        ValueError: the two batches differ in size.

    Goodfellow et al. 2014, eq. 1.

    >>> import torch
    >>> minimax_discriminator(torch.zeros(2), torch.zeros(2))
    tensor([1.3863, 1.3863])
    """
    _same_size(real, fake)
    return softplus(-real) + softplus(fake)


def minimax_generator(real: Tensor | None, fake: Tensor) -> Tensor:
    """log(1 − σ(fake)), which saturates when the discriminator wins. Goodfellow et al. 2014, eq. 1."""
    return -softplus(fake)


def nonsaturating_generator(real: Tensor | None, fake: Tensor) -> Tensor:
    """−log σ(fake), which keeps its slope when the discriminator wins. Goodfellow et al. 2014, section 3."""
    return softplus(-fake)


def leastsquares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """½ (real − 1)² + ½ fake². Mao et al. 2017 (LSGAN), eq. 2 with a = 0, b = 1."""
    _same_size(real, fake)
    return 0.5 * (real - 1).square() + 0.5 * fake.square()


def leastsquares_generator(real: Tensor | None, fake: Tensor) -> Tensor:
    """½ (fake − 1)². Mao et al. 2017 (LSGAN), eq. 2 with c = 1."""
    return 0.5 * (fake - 1).square()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 − real) + max(0, 1 + fake). Miyato et al. 2018 (spectral normalization), eq. 16."""
    _same_size(real, fake)
    return relu(1 - real) + relu(1 + fake)


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """fake − real: minus the estimate of the distance. Arjovsky et al. 2017, eq. 2."""
    _same_size(real, fake)
    return fake - real


def wasserstein_generator(real: Tensor | None, fake: Tensor) -> Tensor:
    """−fake. Arjovsky et al. 2017; with the hinge, Miyato et al. 2018, eq. 17."""
    return -fake


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """softplus(−(real − fake)): real i should score above generated i.

    Jolicoeur-Martineau 2019 (relativistic pairing); Huang et al. 2024 (R3GAN), eq. 2.
    """
    _same_size(real, fake)
    return softplus(fake - real)


def relativistic_generator(real: Tensor | None, fake: Tensor) -> Tensor:
    """softplus(−(fake − real)), the discriminator's loss with the sides exchanged. Huang et al. 2024, eq. 2.

    Raises:
        ValueError: `real` is missing, or differs in size from `fake`.
    """
    if real is None:
        raise ValueError("relativistic_generator compares pairs: pass the logits of a real batch as well")
    return relativistic_discriminator(fake, real)


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """‖mean f(real) − mean f(fake)‖², a scalar. Salimans et al. 2016, section 3.1.

    Args:
        real_features: (N, F), the discriminator's last hidden layer; a target, so without gradient.
        fake_features: (M, F).

    >>> import torch
    >>> feature_matching(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    tensor(5.)
    """
    return (real_features.detach().mean(0) - fake_features.mean(0)).square().sum()


class Loss(NamedTuple):
    """The two sides of a game. A `paired` one compares real i with generated i, for the generator as well."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    paired: bool = False


LOSSES: dict[str, Loss] = {
    "minimax": Loss(minimax_discriminator, minimax_generator),
    "nonsaturating": Loss(minimax_discriminator, nonsaturating_generator),
    "leastsquares": Loss(leastsquares_discriminator, leastsquares_generator),
    "hinge": Loss(hinge_discriminator, wasserstein_generator),
    "wasserstein": Loss(wasserstein_discriminator, wasserstein_generator),
    "relativistic": Loss(relativistic_discriminator, relativistic_generator, paired=True),
}


def _same_size(real: Tensor, fake: Tensor) -> None:
    # (N,) and (1,) or (N, 1) would broadcast without a word, and the loss would be another one.
    if real.shape != fake.shape:
        raise ValueError(
            f"real and fake logits must have one shape (N,), got {tuple(real.shape)} and {tuple(fake.shape)}"
        )

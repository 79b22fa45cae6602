"""Divergences, densities and bounds of variational inference, in nats. Log-variances are natural logarithms of σ²."""

import math

from torch import Tensor
from torch.nn.functional import hardtanh, relu

LOG_VARIANCES = (-30.0, 20.0)
"""What `guarded` clamps to: σ from 3e-7 to 2e4, whose squares and reciprocals are finite in fp32."""

GRADIENTS = ("standard", "sticking", "doubly")
"""Gradient estimators of a bound with reparameterised samples.

standard: of the bound as it stands. sticking: the parameters of log q(z|x) are constants, so that the gradient's
variance vanishes where q is the posterior; unbiased for one sample alone (Roeder et al. 2017). doubly: those of
log q are constants and the encoder's gradients carry the squares of the weights; unbiased for any number of samples
(Tucker et al. 2018).
"""


def guarded(log_variance: Tensor) -> Tensor:
    """log σ² clamped to (-30, 20), so that no exponent of it overflows; it has no slope beyond. NaN stays NaN.

    >>> import torch
    >>> guarded(torch.tensor([-1e6, 1.0, 1e6]))
    tensor([-30.,   1.,  20.])
    """
    return hardtanh(log_variance, *LOG_VARIANCES)  # a clamp whose way back is one operation


def reparameterised(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """mean + σ · noise, which broadcast: draws of N(mean, σ²) from draws of N(0, 1). Kingma & Welling 2013, eq. 10."""
    return mean + (0.5 * log_variance).exp() * noise


def kl_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, σ²) ‖ N(0, 1)) element by element, in nats, shaped like `mean`. Kingma & Welling 2013, appendix B.

    >>> import torch
    >>> kl_normal(torch.tensor([0.0, 2.0]), torch.zeros(2))
    tensor([0., 2.])
    """
    return 0.5 * (mean.square() + log_variance.expm1() - log_variance)


def kl_between(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """KL(N(mean, σ²) ‖ N(other_mean, other σ²)) element by element, in nats.

    >>> import torch
    >>> kl_between(torch.tensor(3.0), torch.tensor(0.0), torch.tensor(1.0), torch.tensor(0.0))
    tensor(2.)
    """
    difference = log_variance - other_log_variance
    return 0.5 * ((mean - other_mean).square() * (-other_log_variance).exp() + difference.expm1() - difference)


def normal_log_density(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; mean, σ²) element by element, in nats."""
    return -0.5 * ((x - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi))


def standard_normal_log_density(x: Tensor) -> Tensor:
    """log N(x; 0, 1) element by element, in nats."""
    return -0.5 * (x.square() + math.log(2 * math.pi))


def free_bits(kl: Tensor, least: float) -> Tensor:
    """Σ over dimensions of max(least, mean KL over the batch): a dimension is not pressed below `least`.

    Args:
        kl: (N, latent), in nats, one value for each example and dimension.
        least: nats that each dimension has free; 0 gives the mean KL.

    Returns:
        A scalar, in nats.

    Kingma et al. 2016 (inverse autoregressive flow), eq. 15.

    >>> import torch
    >>> free_bits(torch.tensor([[0.1, 1.0], [0.1, 3.0]]), 0.5)
    tensor(2.5000)
    """
    return (least + relu(kl.mean(0) - least)).sum()


def importance_bound(log_weights: Tensor) -> Tensor:
    """log (1/k) Σ exp log_weights: (k, N) -> (N,), in nats. It rises in expectation with k, to log p(x).

    Args:
        log_weights: (k, N), log p(x, z) − log q(z|x) at k samples z of q.

    Burda et al. 2016, eq. 8.

    >>> import torch
    >>> importance_bound(torch.tensor([[1.0, 2.0], [3.0, 2.0]]).log())
    tensor([0.6931, 0.6931])
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def normalised_weights(log_weights: Tensor) -> Tensor:
    """The weights (k, N) with sum 1 over the k samples, as constants. Burda et al. 2016, eq. 14."""
    return log_weights.detach().softmax(0)


def doubly_reparameterised(z: Tensor, weights: Tensor) -> Tensor:
    """z, whose gradient is multiplied by the weights on its way back to the encoder.

    With the loss `-(weights * log_weights).sum(0).mean()` and the parameters of log q(z|x) constant in `log_weights`,
    the encoder receives the squares of the weights and the decoder the weights themselves.

    Args:
        z: (k, N, latent), reparameterised samples.
        weights: (k, N), see `normalised_weights`; taken as constants.

    Returns:
        (k, N, latent), equal to `z`; to be used wherever `log_weights` look at the samples.

    Tucker et al. 2018, eq. 8.
    """
    if not z.requires_grad:
        return z
    factor = weights.detach().unsqueeze(-1)
    z = z.view_as(z)  # a node of its own: a hook on z itself would act on its other uses as well
    z.register_hook(lambda gradient: gradient * factor)
    return z

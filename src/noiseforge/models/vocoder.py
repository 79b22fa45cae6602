"""WaveNet as a vocoder: sound from its spectrogram (van den Oord et al. 2016, section 2.5; Shen et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Batch
from noiseforge.errors import UserError
from noiseforge.models.wavenet import WaveNet, clip_generators


class Vocoder(WaveNet):
    """A WaveNet that is told the mel frames of a clip, and so makes clips anew instead of clips of its own."""

    @torch.inference_mode()
    def resynthesise(
        self,
        x: Tensor,
        length: Tensor | None = None,
        y: Tensor | None = None,
        speaker: Tensor | None = None,
        *,
        temperature: float = 1.0,
        nucleus: float = 1.0,
        generator: torch.Generator | None = None,
        path: str = "auto",
        precision: str = "fp32",
        threads: int = 1,
        progress: Callable[[float], None] | None = None,
    ) -> Samples:
        """Clips made anew from their mel frames, and from whatever else the model is told, each as long as it was.

        Args:
            x: (N, 1, T) in [-1, 1].
            length: (N,) true samples; None where all of T are.
            y: (N,) labels, which come back with the clips; a model that is conditioned on them needs them.
            speaker: (N,) speakers, likewise.
            temperature: as all that follows, see `WaveNet.clips`.

        Raises:
            UserError: x is not (N, 1, T), or the labels or the speakers are missing.
        """
        if x.ndim != 3 or x.shape[1] != 1 or not x.numel():
            raise UserError(f"expected clips (N, 1, T) to make anew, got {tuple(x.shape)}")
        length = torch.full((len(x),), x.shape[2]) if length is None else length
        drawing = {"temperature": temperature, "nucleus": nucleus, "path": path}
        return self._generated(
            Batch(x, y, length, speaker),
            clip_generators(len(x), generator),
            progress,
            **drawing,
            precision=precision,
            threads=threads,
        )

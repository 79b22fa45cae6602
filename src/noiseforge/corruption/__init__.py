"""Ground floor: noise, blur and all else that makes y = A(x) + n, as text: `blur:1.5 | gaussian:0.1`."""

from noiseforge.corruption.compose import Corruption, parse

__all__ = ["Corruption", "parse"]

"""Generative models that live with noise: train, sample, judge and diagnose.

The verbs of the command line are functions here. Importing noiseforge imports no torch; the first use of a
name does.

>>> import noiseforge
>>> "image/digits" in noiseforge.list_recipes()
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from noiseforge.api import (
        classify,
        compare,
        describe,
        diagnose,
        encode,
        evaluate,
        interpolate,
        load,
        neighbours,
        noise_curves,
        reconstruct,
        sample,
        sample_frame,
        train,
    )
    from noiseforge.data import load_data
    from noiseforge.errors import UserError
    from noiseforge.recipes.load import list_recipes, read_recipe

__all__ = [
    "UserError",
    "classify",
    "compare",
    "describe",
    "diagnose",
    "encode",
    "evaluate",
    "interpolate",
    "list_recipes",
    "load",
    "load_data",
    "neighbours",
    "noise_curves",
    "read_recipe",
    "reconstruct",
    "sample",
    "sample_frame",
    "train",
]

HOMES = {
    "UserError": "noiseforge.errors",
    "list_recipes": "noiseforge.recipes.load",
    "load_data": "noiseforge.data",
    "read_recipe": "noiseforge.recipes.load",
}
"""Where a public name lives, if not in `noiseforge.api`."""


def __getattr__(name: str) -> object:
    """Loads a public name on its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("noiseforge")
    if name not in __all__:
        raise AttributeError(f"module 'noiseforge' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(HOMES.get(name, "noiseforge.api")), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

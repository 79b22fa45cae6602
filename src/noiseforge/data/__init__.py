"""Ground floor: a source becomes data sets of batches and a Spec."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noiseforge.data.description import describe
    from noiseforge.data.frames import to_frame
    from noiseforge.data.source import load_data
    from noiseforge.data.spec import Batch, Data, Dataset, Spec

__all__ = ["Batch", "Data", "Dataset", "Spec", "describe", "load_data", "to_frame"]

_HOMES = {"describe": "description", "load_data": "source", "to_frame": "frames"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is asked for, so that `data.spec` alone imports no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'spec')}"), name)

"""The sections of a report that show what the latent space of a model with an encoder is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from noiseforge.data.sequence_pictures import plots
from noiseforge.data.spec import Spec
from noiseforge.evaluation.gallery import drawn, fitting, gallery, pairs, plot
from noiseforge.evaluation.page import number, section

if TYPE_CHECKING:
    from PIL.Image import Image


class CodeMaps(NamedTuple):
    """The same codes on two maps, coloured by their classes where they have some."""

    pca: Image
    tsne: Image
    shares: tuple[float, float]
    """Of the variance of the codes, along each axis of the first."""
    n: int


class CodeWalks(NamedTuple):
    """Walks along the most active dimensions, the most active first."""

    x: Tensor
    """(dimensions, steps, *shape) in model units."""
    dimensions: tuple[int, ...]
    activity: tuple[float, ...]
    n: int
    """Examples that the activity was measured on."""


class CodingPictures(NamedTuple):
    """What an encoder makes of test examples."""

    originals: Tensor
    """(n, *shape) in model units."""
    reconstructions: Tensor
    """(n, *shape)."""
    length: Tensor | None
    """(n,) of series that have lengths."""
    maps: CodeMaps | None
    """None where there are too few codes for a map."""
    walks: CodeWalks


def coding_sections(pictures: CodingPictures, spec: Spec) -> tuple[str, ...]:
    """Reconstructions, maps and walks as parts of a page; an empty text where one cannot be shown."""
    return _reconstructions(pictures, spec), _maps(pictures.maps, spec), _walks(pictures.walks)


def _reconstructions(pictures: CodingPictures, spec: Spec) -> str:
    originals, again, length, *_ = pictures
    if spec.modality == "point":
        lead = f"{len(originals):,} test examples in grey, and over them what the model makes of their codes."
        return section("Reconstructions", lead, plot(again, originals, spec))
    if spec.modality == "sequence":
        lead = "Test examples dotted, and over them what the model makes of their codes."
        return section("Reconstructions", lead, drawn(plots(again, spec, length=length, reference=originals), lead))
    if originals.ndim != 4:
        return ""
    shown = fitting(originals, 24)
    body = pairs(originals[:shown], again[:shown], ("test example", "reconstruction"))
    return section("Reconstructions", "Each pair: a test example, then what the model makes of its code.", body)


def _maps(maps: CodeMaps | None, spec: Spec) -> str:
    if maps is None:
        return ""
    colours = "coloured by class, which the map was not told" if spec.classes else "without classes to colour them by"
    lead = (
        f"The codes of {maps.n:,} random test examples, {colours}. PCA shows the plane of most variance: "
        f"{maps.shares[0]:.1%} and {maps.shares[1]:.1%} of it lie along its axes. t-SNE keeps neighbours together, "
        "while its distances and sizes mean nothing."
    )
    sides = ((maps.pca, "PCA of the codes"), (maps.tsne, "t-SNE of the codes"))
    body = "".join(f"<figure class=chart>{drawn(picture, name)}</figure>" for picture, name in sides)
    return section("Map of the codes", lead, f"<div class=charts>{body}</div>")


def _walks(walks: CodeWalks) -> str:
    if walks.x.ndim != 5:
        return ""
    rows = ""
    for x, dimension, activity in zip(walks.x, walks.dimensions, walks.activity, strict=True):
        name = f'<b style="width: 92px">{dimension} <small>{number(activity)}</small></b>'
        rows += f"<div class=row>{name}{gallery(x, f'walk along dimension {dimension}')}</div>"
    lead = (
        f"Each row walks along one dimension, from three standard deviations below the code of a typical test example, "
        f"which stands in the middle, to three above it. Before it: the dimension's number and its activity, the "
        f"variance of the codes' means over {walks.n:,} test examples; the most active dimension comes first."
    )
    return section("Walks through the latent space", lead, rows)

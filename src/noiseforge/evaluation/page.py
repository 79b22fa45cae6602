"""The page that every report is: one HTML file with its style inside, its sections, and how it writes numbers."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template

from noiseforge.evaluation.figures import Better
from noiseforge.evaluation.glossary import ARROWS


def template(name: str) -> Template:
    """A template of this package."""
    return Template(files("noiseforge.evaluation").joinpath(name).read_text(encoding="utf-8"))


def page(title: str, body: str) -> str:
    """A whole page around `body`, which is HTML; the title is text."""
    return template("page.html").substitute(title=escape(title), body=body)


def section(title: str, lead: str, body: str) -> str:
    """A part of a page under its own title; nothing where there is no body."""
    return f"<section><h2>{title}</h2><p class=lead>{lead}</p>{body}</section>" if body else ""


def arrow(better: Better) -> str:
    """Which way is better."""
    sign, said = ARROWS[better]
    return f'<span class=arrow title="{said}">{sign}</span>'


def number(value: float) -> str:
    """A value with three significant digits, as a table shows it; whole numbers stay whole.

    >>> number(0.0123), number(3.1), number(345.6), number(10_000), number(-2e-6)
    ('0.0123', '3.10', '346', '10,000', '-2.00e-06')
    """
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")

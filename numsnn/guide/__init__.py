"""The documentation: Markdown pages, shown by `numsnn guide [PAGE]`; a test runs every code block in them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
PAGES = ("start", "axes", "neurons", "own-neuron", "delays", "training", "not-learning", "learning-rules",
         "data", "streaming", "microcontroller", "nir", "gpu", "cluster", "energy", "inside")


def names() -> list[str]:
    """The names of all pages, in the order in which to read them; those of the API, one a room, come last."""
    return [*PAGES, *(f"api/{path.stem}" for path in sorted((FOLDER / "api").glob("*.md")))]


def page(name: str) -> str:
    """The Markdown of a page.  ValueError where there is none of this name."""
    known = names()
    if name not in known:
        raise ValueError(f"the guide has no page {name!r}; there are {', '.join(known)}")
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def title(name: str) -> str:
    """The heading of a page."""
    return page(name).partition("\n")[0].removeprefix("# ")


def contents() -> str:
    """A table of all pages."""
    width = max(map(len, names()))
    return "\n".join(f"{name:<{width}}  {title(name)}" for name in names())


__all__ = ["PAGES", "contents", "names", "page", "title"]

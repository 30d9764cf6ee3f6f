"""The figures of a results folder for another place than its page: a paper, or slides."""

from pathlib import Path

from reports import page, style
from reports.page import Picture
from studies import results
from studies.results import write_atomically

CAPTIONS = "captions.md"


def write(folder: Path, name: str) -> list[str]:
    """Draw every figure for the medium `name` (style.MEDIA) into `figures/NAME/`; returns the names of the files.

    For a paper the figures leave out what a caption says; `captions.md` has it.
    """
    with style.drawn_for(style.MEDIA[name]):
        pictures = page.of(results.read(folder)).pictures
        written = [one for picture in pictures for one in _files(folder, f"figures/{name}/{picture.name}", picture)]
    captions = f"figures/{name}/{CAPTIONS}"
    write_atomically(folder / captions, page.writer("".join(map(_caption, pictures)).encode()))
    return [*written, captions]


def vectors(folder: Path) -> list[str]:
    """Every figure of the page as PDF beside its SVG; returns the names of the files."""
    written = []
    for picture in page.of(results.read(folder)).pictures:
        written.append(f"figures/{picture.name}.pdf")
        write_atomically(folder / written[-1], page.writer(style.pdf(picture.figure)))
    return written


def _files(folder: Path, stem: str, picture: Picture) -> list[str]:
    kinds = {"svg": picture.svg, "png": style.png(picture.figure), "pdf": style.pdf(picture.figure)}
    for suffix, content in kinds.items():
        write_atomically(folder / f"{stem}.{suffix}", page.writer(content))
    return [f"{stem}.{suffix}" for suffix in kinds]


def _caption(picture: Picture) -> str:
    of = f"{picture.subject}: " if picture.subject else ""
    return f"`{picture.name}`: **{picture.title}.** {of}{picture.sentence}\n\n"

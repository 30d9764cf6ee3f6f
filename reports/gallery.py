"""Every figure of a folder of runs on one page: `python -m reports.gallery out/gallery` (`make gallery`)."""

import sys
from dataclasses import dataclass
from pathlib import Path

from reports import page, trace
from reports.page import Page, Picture
from studies import results


@dataclass(frozen=True)
class Room:
    """The figures of one run, and where its own report is."""

    title: str
    report: str
    pictures: list[Picture]


def rooms(folder: Path) -> list[Room]:
    """The runs and described traces below a folder, by name."""
    found = []
    for inside in sorted(path for path in folder.iterdir() if path.is_dir()):
        if (inside / "results.parquet").is_file():
            read = results.read(inside)
            found.append(Room(f"draftodds run {read.study}", f"{inside.name}/report.html", page.of(read).pictures))
        elif (inside / "about.parquet").is_file():
            found.append(Room("draftodds trace describe", f"{inside.name}/report.html", trace.of(inside).pictures))
    return found


def main() -> None:
    """Write `index.html` into the folder of runs given."""
    folder = Path(sys.argv[1])
    hung = rooms(folder)
    page.write(folder, Page("gallery.html.j2", {"rooms": hung}, []), name="index.html")
    print(f"{sum(len(room.pictures) for room in hung)} figures: {folder / 'index.html'}")


if __name__ == "__main__":
    main()

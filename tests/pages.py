"""A page as the tests read it: tags, addresses, handlers, scripts, visible words; and names that try to break out."""

import json
from html.parser import HTMLParser
from pathlib import Path

from studies.results import Results

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</style><script src=//evil.example/x.js></script>",
    "{{ 7 * 7 }} {% raw %}",
    "../../outside/the folder",
    "$\\frac{1}{0}$ ^_&%# 模型 🚀",
    "n" * 400,
    "two\nlines\tand a tab",
]


def html(folder: Path) -> str:
    return (folder / "report.html").read_text("utf-8")


class Reader(HTMLParser):
    """Collects the tags, addresses and handlers of a page, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            attributes, held = self.scripts.pop()
            self.scripts.append((attributes, held + data))
        elif "style" not in self.open:
            self.text += data


def read(folder: Path) -> Reader:
    reader = Reader(html(folder))
    assert reader.open == []
    return reader


def runs_only_the_explorer(found: Results, reader: Reader) -> bool:
    """Whether the page's scripts are the explorer's data and the explorer, both in the page; none where it has none."""
    if found.explorer is None:
        return reader.scripts == []
    (kind, data), (plain, code) = reader.scripts
    held = json.loads(data) == json.loads(json.dumps(found.explorer))
    return held and kind["type"] == "application/json" and plain == {} and code.strip().startswith("(() => {")

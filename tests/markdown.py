"""A Markdown file as the tests of the documentation need it: its code, its links, its headings."""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"(?ms)^(?:<!-- not run: (?P<why>[^\n]+?) -->\n+)?```(?P<language>[^\n]*)\n(?P<code>.*?)^```[ ]*$")
INDENTED = re.compile(r"(?m)^(?: {4}|\t)(?:\$ )?(?:draftodds|make|python|vllm) .*$")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"(?m)^#{1,6} +(.+?) *#*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its code, the line it begins at, and why it is not run (None: it is)."""

    language: str
    code: str
    line: int
    why: str | None

    @property
    def commands(self) -> list[str]:
        """Its lines of a shell, continued ones joined, comments and prompts left out."""
        joined = self.code.replace("\\\n", " ")
        lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
        return [line for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True)
class Markdown:
    """A file and its text."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> "Markdown":
        return cls(path, path.read_text("utf-8"))

    @property
    def blocks(self) -> list[Block]:
        found = FENCE.finditer(self.text)
        return [
            Block(each["language"].strip(), each["code"], self.text[: each.start("code")].count("\n"), each["why"])
            for each in found
        ]

    @property
    def prose(self) -> str:
        """The text without fenced blocks and comments."""
        return re.sub(r"(?s)<!--.*?-->", "", FENCE.sub("", self.text))

    @property
    def inline(self) -> list[str]:
        """What stands in single backticks."""
        return INLINE.findall(self.prose)

    @property
    def links(self) -> list[str]:
        return [one or other for one, other in LINK.findall(INLINE.sub("", self.prose))]

    @property
    def anchors(self) -> set[str]:
        """What GitHub calls its headings: lower case, punctuation dropped, a number after those that come again."""
        found: set[str] = set()
        for heading in HEADING.findall(self.prose):
            said = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
            slug = re.sub(r"[^\w\- ]", "", said).replace(" ", "-")
            number = 0
            while (name := f"{slug}-{number}" if number else slug) in found:
                number += 1
            found.add(name)
        return found


def broken(file: Markdown, root: Path) -> list[str]:
    """The relative links of a file that lead nowhere, or out of the project."""
    faults = []
    for link in file.links:
        if re.match(r"[a-z]+:", link):
            faults += [] if link.startswith("https://") else [f"{link}: not https"]
            continue
        name, _, anchor = link.partition("#")
        target = (file.path.parent / name).resolve() if name else file.path.resolve()
        if not target.exists() or not target.is_relative_to(root.resolve()):
            faults.append(f"{link}: no such file")
        elif anchor and (target.suffix != ".md" or anchor not in Markdown.read(target).anchors):
            faults.append(f"{link}: no such heading")
    return faults


def reached(start: Path) -> set[Path]:
    """The files that links lead to from `start`, one after the other."""
    found, left = {start.resolve()}, [start.resolve()]
    while left:
        file = left.pop()
        if file.suffix != ".md":
            continue
        for link in Markdown.read(file).links:
            target = (file.parent / link.partition("#")[0]).resolve()
            if target.is_file() and target not in found:
                found.add(target)
                left.append(target)
    return found

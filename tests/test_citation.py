"""CITATION.cff is what citation-file-format 1.2.0 asks for, and says what the package says."""

import datetime
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ROOT = Path(__file__).parents[1]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, str_min_length=1)


class Person(Part):
    family_names: Annotated[str, Field(alias="family-names")]
    given_names: Annotated[str, Field(alias="given-names")]


class Alias(Part):
    alias: str


class Entity(Part):
    name: str


Authors = Annotated[list[Person | Entity | Alias], Field(min_length=1)]


class Identifier(Part):
    type: Literal["doi", "url", "swh", "other"]
    value: str


class Reference(Part):
    type: Literal["article", "blog", "data", "report", "software"]
    title: str
    authors: Authors
    year: int | None = None
    journal: str | None = None
    volume: int | None = None
    issue: int | None = None
    license: str | None = None
    notes: str | None = None
    identifiers: list[Identifier] = []


class Citation(Part):
    """The keys that are used here, of github.com/citation-file-format/citation-file-format, schema-guide.md, 1.2.0."""

    cff_version: Annotated[Literal["1.2.0"], Field(alias="cff-version")]
    message: str
    type: Literal["software"]
    title: str
    abstract: str
    authors: Authors
    version: str
    date_released: Annotated[datetime.date | None, Field(alias="date-released")] = None
    license: str
    keywords: list[str]
    references: list[Reference]


def read() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def test_it_is_valid_and_of_this_version() -> None:
    found = Citation.model_validate(read())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (found.version, found.license) == (project["version"], project["license"])
    assert found.keywords == project["keywords"]
    heading = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("\n## ")[2].partition("\n")[0]
    assert heading.split()[0] == found.version


@pytest.mark.parametrize("fault", [{"cff-version": "1.1"}, {"authors": []}, {"titel": "x"}, {"version": 0.1}])
def test_a_fault_is_found(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Citation.model_validate(read() | fault)

"""What the sample crawl is made of: the pinned packages, and how their files become the pages of a site.

Everything is in packages.yaml beside this file; here it is only read into typed records."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Release:
    """A source distribution, pinned by its sha256."""

    package: str
    version: str
    released: date
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.package}-{self.version}"


@dataclass(frozen=True)
class Site:
    """Where the files of a package would be on the web; `files` is a glob in which `*` crosses folders."""

    package: str
    license: str
    form: str  # html, markdown, rst, tagged, python
    files: str
    url: str = ""
    type: str = "text/html"
    seen: int = 45  # of 100 pages, how many one crawl comes across


@dataclass(frozen=True)
class Plan:
    """The whole sample: dumps with the first moment of their crawl, sites, releases."""

    dumps: dict[str, datetime]
    sites: tuple[Site, ...]
    releases: tuple[Release, ...]

    def current(self, package: str, moment: datetime) -> Release | None:
        """The newest pinned release of a package that was out by a moment."""
        out = [item for item in self.releases if item.package == package and item.released < moment.date()]
        return max(out, key=lambda item: item.released, default=None)


PACKAGES = Path(__file__).with_name("packages.yaml")


def load_plan() -> Plan:
    """Read the plan of the sample."""
    value: dict[str, Any] = yaml.safe_load(PACKAGES.read_text())
    return Plan(
        {name: datetime.combine(day, time(6), UTC) for name, day in value["dumps"].items()},
        tuple(Site(**item) for item in value["sites"]),
        tuple(Release(**item) for item in value["releases"]),
    )

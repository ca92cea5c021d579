"""Builds the documentation site: ``python -m tools.site FOLDER``. Warnings, such as a link that leads nowhere, are errors."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.application import Sphinx

from . import site_pages

DOCS = Path(__file__).parents[1] / "docs"


def build(target: Path) -> int:
    """Writes the site into a folder and returns the status of Sphinx: 0 if there was no warning."""
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder) / "docs"
        shutil.copytree(DOCS, pages)
        site_pages.write_pages(pages)
        app = Sphinx(pages, pages, target, Path(folder) / "trees", "html", status=None, warningiserror=True)
        app.build()
        return int(app.statuscode)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.site FOLDER")
    sys.exit(build(Path(sys.argv[1])))

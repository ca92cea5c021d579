"""Runs the examples of a page and draws its figures: `draw_page.py docs/seven-cases.md`.

An image of the page, `![text](pictures/name.png)`, is the `figure` of the example before it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

STEP = re.compile(r"^```python *\n(?P<code>.*?)^```|^!\[[^\]]*\]\((?P<picture>[^)]+\.png)\)", re.MULTILINE | re.DOTALL)


def draw(page: Path, dots: int = 72) -> list[Path]:
    """Draws every image of the page and writes it to its path."""
    names: dict[str, Any] = {"__name__": f"docs.{page.stem}"}
    drawn = []
    for step in STEP.finditer(page.read_text(encoding="utf-8")):
        if step["code"]:
            exec(compile(step["code"], str(page), "exec"), names)
            continue
        path = page.parent / step["picture"]
        path.parent.mkdir(exist_ok=True)
        names["figure"].savefig(path, dpi=dots)
        drawn.append(path)
    return drawn


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: draw_page.py PAGE")
    for path in draw(Path(sys.argv[1])):
        print(path)

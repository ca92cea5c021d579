"""Run the examples of a page and draw its pictures anew: `draw_page.py docs/seven-cases.md`.

A picture of the page, `![what it shows](pictures/name.png)`, is what the example before it calls `figure`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

STEP = re.compile(r"^```python *\n(?P<code>.*?)^```|^!\[[^\]]*\]\((?P<picture>[^)]+\.png)\)", re.MULTILINE | re.DOTALL)


def draw(page: Path, dots: int = 72) -> list[Path]:
    """Every picture of the page, written where the page looks for it."""
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

"""``python -m benchmarks.zoo [sweep] [--commit] [WORDS]``: the table of networks, or the sweep, for names that contain WORDS."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
DOCS = Path(__file__).parents[2] / "docs" / "reports"


def main(argv: list[str] | None = None) -> int:
    """Measures, prints, and with ``--commit`` writes the page."""
    parser = argparse.ArgumentParser(prog="zoo", description=__doc__)
    parser.add_argument("what", nargs="*", help="sweep, and part of a name")
    parser.add_argument("--commit", action="store_true", help="write docs/reports/zoo.md or docs/reports/sweep.md")
    options = parser.parse_args(argv)
    swept = options.what[:1] == ["sweep"]
    only = " ".join(options.what[1:] if swept else options.what)
    import transformers

    transformers.logging.set_verbosity_error()
    page, name = (sweeping(only), "sweep.md") if swept else (measuring(only), "zoo.md")
    print(page)
    if options.commit:
        (DOCS / name).write_text(page)
    return 0


def measuring(only: str) -> str:
    from benchmarks.zoo.measure import measured
    from benchmarks.zoo.models import Zoo
    from benchmarks.zoo.tables import gaps

    rows = []
    for subject in Zoo().subjects.values():
        for kind in subject.kinds if only.lower() in subject.name.lower() else ():
            rows.append(measured(subject, kind, repeats=5))
            print(subject.name, kind, file=sys.stderr)
    return gaps(rows)


def sweeping(only: str) -> str:
    from benchmarks.zoo.sweep import sweep
    from benchmarks.zoo.tables import swept

    found = []
    for finding in sweep(only):
        found.append(finding)
        print(finding.state, finding.family, file=sys.stderr)
    return swept(found)


if __name__ == "__main__":
    sys.exit(main())

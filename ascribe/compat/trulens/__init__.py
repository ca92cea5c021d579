"""``trulens.nn`` as it was at trulens 0.13.4, over ascribe: see docs/migrating-from-trulens.md."""

from __future__ import annotations

STANDS_FOR = {"trulens": ""}

__version__ = "0.13.4"

"""Facades: other libraries' names over ascribe, and a context in which unchanged code finds them.

A facade is a package ``ascribe.compat.<name>``. Its modules can be imported directly; inside ``standing_in("<name>")`` they are also found
under the other library's names. A facade maps those names to its own modules, relative to itself, in ``STANDS_FOR`` (``""`` is the
facade).

    STANDS_FOR = {"trulens": "", "trulens.nn.attribution": "nn.attribution"}
"""

from __future__ import annotations

from .standing import facades, standing_in

__all__ = ["facades", "standing_in"]

"""Other libraries' names over ascribe's verb: facades, and a way for unchanged code to find them.

A facade is a package ``ascribe.compat.<name>``. Its modules can be imported as they are; inside ``standing_in("<name>")`` they are
found under the other library's own names too. Each facade says which in a table ``STANDS_FOR``: the other library's dotted module
names, and for each its own module, counted from the facade (``""`` is the facade itself).

    STANDS_FOR = {"trulens": "", "trulens.nn.attribution": "nn.attribution"}
"""

from __future__ import annotations

from .standing import facades, standing_in

__all__ = ["facades", "standing_in"]

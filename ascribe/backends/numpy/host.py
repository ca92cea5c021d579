"""NumPy's functions for the arrays that cross the border of a session of another framework on the computer's own memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays import Array
from .namespace import NumpyNamespace


class HostNamespace(NumpyNamespace):
    """Arrays may be views of the framework's, which cannot be written to, or arrays of the framework itself."""

    def put(self, a: Any, index: Any, b: Any) -> Array:
        return super().put(a if isinstance(a, np.ndarray) and a.flags.writeable else np.array(a), index, np.asarray(b))


xp = HostNamespace()

"""NumPy: an :class:`~ascribe.backends.numpy.mlp.Mlp` bound to one call of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import Array
from ...calls.call import Call
from ...cuts import INPUT, LOGITS, OUTPUT, Cut, JointCut
from ...errors import AscribeError, CutError, InputError, QuantityError, RuleError
from ...rules import Gradient
from ..facts import Facts
from ..protocol import ArrayAt, CutInfo, Evidence, Job, Place, Reading, Session, Traits
from .mlp import Mlp
from .namespace import xp

STEP = 1e-6


@dataclass(frozen=True)
class MlpCutInfo(CutInfo):
    """A cut of an Mlp: everywhere a row of numbers for each record."""

    size: int

    def source(self) -> Cut:
        return INPUT

    def elements(self) -> int:
        return self.size


class NumpySession(Session):
    """See :class:`ascribe.backends.protocol.Session`."""

    xp = xp

    def __init__(self, model: Mlp, call: Call) -> None:
        if len(call.args) != 1 or call.kwargs:
            raise InputError("An Mlp takes one array as its only argument", found=repr(call), advice="asc.attribute(mlp, x)")
        if call.records is not None:
            raise InputError("An Mlp takes no `records=`: each row is a record", found=repr(call), advice="asc.Call(x)", code="E-RECORDS")
        self.model, self.call = model, call
        self.x = np.asarray(call.args[0], dtype=np.float64)
        self.records = len(self.x)
        self.notes, self.facts, self.traits = [], Facts(), Traits()

    def another(self, call: Call) -> NumpySession:
        return NumpySession(self.model, call)

    def cut_info(self, cut: Cut) -> MlpCutInfo:
        widths = [len(self.model.weights[0]), *(w.shape[1] for w in self.model.weights)]
        return MlpCutInfo(widths[self.level(cut)])

    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        if cut in (INPUT, OUTPUT):
            return cut
        if cut == LOGITS:
            return OUTPUT
        if not cut.layer.isdigit() or int(cut.layer) >= len(self.model.weights) or cut.accessor is not None:
            raise CutError(f"The Mlp has no cut {cut!r}", found=f"the layers 0 to {len(self.model.weights) - 1}", advice='Cut("0")')
        return cut

    def level(self, cut: Cut) -> int:
        """How many layers come before a cut."""
        if cut == INPUT:
            return 0
        if isinstance(cut, JointCut):
            raise CutError("NumPy models do not support joint cuts", found=f"{cut!r}", advice="one quantity for each cut: on=asc.OUTPUT")
        return len(self.model.weights) if cut == OUTPUT else int(cut.layer) + (cut.anchor == "out")

    def evaluate(self, job: Job) -> Evidence:
        if job.by is not None and not isinstance(job.by, Gradient):
            advice = "by=asc.rules.Gradient(), or no by="
            raise RuleError("NumPy models support the plain gradient only", found=f"by={job.by!r}", advice=advice)
        at = 0 if job.at is None else self.level(job.at)
        values, pre = {at: self._rows(job, at)}, {}
        for i in range(at, len(self.model.weights)):
            pre[i], values[i + 1] = self.model.layer(i, values[i])
        shape = (job.points, job.records)
        reads = {
            cut: Reading([ArrayAt(cut, 0, (0, 0) if cut.anchor == "in" else (), 0)], [values[self.level(cut)].reshape(*shape, -1)])
            for cut in job.read
        }
        if job.of is None or job.on is None:
            return Evidence(None, {}, reads, 1)
        on = self.level(job.on)
        value = np.stack(quantities(job, values[on]))
        slopes = [self._slope(job, values[on], k) for k in range(len(value))] if job.wrt else []
        grads = {
            cut: [np.stack([self._back(g, on, self.level(cut), pre) for g in slopes]).reshape(len(value), *shape, -1)] for cut in job.wrt
        }
        return Evidence(value.reshape(len(value), *shape), grads, reads, 1, int(bool(job.wrt)))

    def _rows(self, job: Job, at: int) -> np.ndarray:
        """The rows at the layer where the run begins: those written, or the records; of what is kept, the records' own."""
        if not job.write:
            return self.x[job.index]
        (write,), (keep,) = job.write, job.shares_kept
        if keep is not None:
            own = self.x[job.index]
            for i in range(at):
                own = self.model.layer(i, own)[1]
            write = own * keep + write * (1 - keep)
        return np.asarray(write.reshape(-1, *write.shape[2:]))

    def _slope(self, job: Job, y: np.ndarray, k: int) -> np.ndarray:
        """The quantity's own derivative, by central differences: quantities are few lines, and need no second form."""
        assert job.of is not None
        slope = np.zeros_like(y)
        for c in range(y.shape[1]):
            step = np.zeros(y.shape[1])
            step[c] = STEP
            slope[:, c] = (quantities(job, y + step)[k] - quantities(job, y - step)[k]) / (2 * STEP)
        return slope

    def _back(self, g: np.ndarray, top: int, bottom: int, pre: dict[int, np.ndarray]) -> np.ndarray:
        for i in range(top - 1, bottom - 1, -1):
            g = self.model.pulled(i, pre[i], g)
        return g

    def places(self) -> list[Place]:
        sizes = [len(w) for w in self.model.weights]
        inner = [
            Place(Cut(str(i), side), "Dense", ((1, size),), 1)  # type: ignore[arg-type]
            for i, w in enumerate(self.model.weights)
            for side, size in (("in", sizes[i]), ("out", w.shape[1]))
        ]
        return [
            Place(INPUT, "Mlp", ((1, sizes[0]),), 1),
            *inner,
            Place(OUTPUT, "Mlp", ((1, self.model.weights[-1].shape[1]),), 1),
        ]

    def names(self, spots: Sequence[ArrayAt]) -> list[str]:
        return ["input 0" if s.cut == INPUT else repr(s.cut) for s in spots]

    def parameter_count(self) -> int:
        return sum(w.size for w in self.model.weights)

    def independence_trial(self) -> bool:
        return True


def quantities(job: Job, y: np.ndarray) -> Sequence[Array]:
    """The quantities of rows. Raises QuantityError for what a quantity raises."""
    assert job.of is not None
    try:
        return job.of(y, job.rows)
    except (AscribeError, MemoryError):
        raise
    except Exception as wrong:
        raise QuantityError(f"The quantity raised {type(wrong).__name__}: {wrong}", code="E-QUANTITY-RAISED") from wrong

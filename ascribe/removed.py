"""Records with features removed: the games that coalitions play, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .arrays import Array, namespace
from .backends.protocol import Spot
from .coalitions.base import Coalitions, Estimate, Game
from .cuts import INPUT, Cut
from .errors import CutError, FeatureError
from .features.base import Groups
from .passes import Block, Leaves, Plan
from .paths import Pass
from .removal import Drop, Removal, Removing
from .worths import Worths

ASK = 1 << 22
"""Numbers of a coalition matrix that is made at once."""


@dataclass(frozen=True)
class Played:
    """What came of a game about some records: the pass they had, and features' values and errors ``[quantities, records, features]``.

    ``empty`` is the quantity with nothing there, ``[quantities, records]``; None where nobody asked for it.
    """

    block: Block
    estimate: Estimate
    empty: np.ndarray | None
    asked: int
    errors: list[list[Array]] = field(default_factory=list)


class Removed(Pass):
    """Some records with features removed, over the coalitions of a game."""

    def __init__(self, plan: Plan, index: np.ndarray, groups: Groups, removal: Removal) -> None:
        super().__init__(plan, index)
        self.all_groups, self.groups, self.removal = groups, groups.of(index), removal
        self.game: Game | None = None
        self.worths: Worths | None = None

    def ready(self) -> Worths:
        """Run the records themselves, and make what stands in for their features."""
        self._look()
        here = self._here(self.plan.at)
        where = self._target()
        scene = Removing(replace(here, values=where[2]), self.all_groups, self._everyone, bool(self.plan.at.layer))
        return Worths(self, self.removal.stand_in(scene), where)

    def play(self) -> Played:
        """Run the game to its end."""
        self.worths = worths = self.ready()
        over: Coalitions = self.plan.over
        self.game = over.game(self.groups.players, self.plan.seed)
        most = max(1, min(4096, ASK // max(1, self.groups.count)))
        while (coalitions := self.game.ask(most)) is not None:
            if not len(coalitions):  # the game waited for what it has been told since
                continue
            try:
                self.game.tell(coalitions, worths(coalitions))
            except BaseException:
                known = worths.known_of(coalitions)
                if len(known):
                    self.game.tell(coalitions[: len(known)], np.stack(known, 1))
                raise
        return self.played()

    def played(self, empty: bool = True) -> Played:
        """What there is so far; without ``empty`` nothing is run for it."""
        assert self.game is not None and self.worths is not None
        found = self.game.estimate()
        nobody = None
        if found.complete and empty:
            nobody = worth_of(self.worths, self.groups.count)
        estimate, block = together(found, self.worths.apart), self.block
        block.record = [self.record[self.plan.at]]
        block.values = [self._placed(estimate.values)]
        errors = [] if estimate.error is None else [self._placed(estimate.error)]
        if nobody is not None:
            block.change = block.explained - nobody
        return Played(block, estimate, nobody, self.worths.asked, errors)

    def _placed(self, values: np.ndarray) -> list[Array]:
        """Features' values at their coordinates, as arrays of the kind at the cut; a matrix of interactions as it is."""
        found = []
        if values.ndim > 3:
            return [namespace(self.x[0]).asarray(values, self.x[0])]
        for x, part in zip(self.x, self.groups.spread(values), strict=True):
            xp = namespace(x)
            full = np.broadcast_to(part, (*part.shape[:2], *x.shape[1:]))
            found.append(xp.asarray(np.array(full, None if xp.is_floating(x) else np.float32), x))
        return found

    def _everyone(self, index: np.ndarray) -> Leaves:
        """The values at the cut of other records of the call."""
        return [a[0] for a in self.evaluate(index=index, read=(self.plan.at,)).reads[self.plan.at].arrays]

    def _target(self) -> tuple[Cut, tuple[Spot, ...], Leaves]:
        """Where stand-ins are written: at the cut, or in the mask of a sequence. Raises FeatureError where there is none."""
        if not isinstance(self.removal, Drop):
            return self.plan.at, self.spots, self.x
        if self.plan.at.layer or len(self.x) != 1:
            raise FeatureError(f"by={self.removal!r} at {self.plan.at!r}", try_="at=asc.INPUT, with token ids")
        at = INPUT.at(self.removal.mask)
        try:
            reading = self.evaluate(read=(at,)).reads[at]
        except CutError as error:
            there = "no such argument that belongs to the records"
            raise FeatureError(f"by={self.removal!r}", there=there, try_="attention_mask=..., or by=asc.MaskToken(id)") from error
        masks = [a[0] for a in reading.arrays]
        if (found := [tuple(m.shape) for m in masks]) != (wanted := [tuple(self.x[0].shape)]):
            there, try_ = f"a mask of shape {found[0]} for values of shape {wanted[0]}", "a number for each token, with at= the token ids"
            raise FeatureError(f"by={self.removal!r}", there=there, try_=try_, code="E-FEATURES-SHAPE")
        return at, tuple(reading.spots), masks


def worth_of(worths: Worths, count: int) -> np.ndarray:
    """The quantity with nothing there, ``[quantities, records]``; the mean of random stand-ins."""
    found = worths(np.zeros((1, count), bool))[:, 0]
    empty: np.ndarray = found.reshape(-1, worths.apart, found.shape[-1]).mean(1)
    return empty


def together(found: Estimate, draws: int) -> Estimate:
    """An estimate for each of several random stand-ins as one, with what they differ by in its error.

    The estimator's own error is at most the mean of theirs; what the draws add is the standard error of their mean.
    """
    if draws == 1:
        return found
    shape = (-1, draws, *found.values.shape[1:])
    values = found.values.reshape(shape)
    spread = values.std(1, ddof=1) / np.sqrt(draws)
    own = 0.0 if found.error is None else found.error.reshape(shape).mean(1)
    return replace(found, values=values.mean(1), error=np.sqrt(spread**2 + np.square(own)))

"""Records with features removed: the games that coalitions play, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...arrays import Array, namespace
from ...backends.protocol import ArrayAt, Job, Reading
from ...calls.call import Call
from ...coalitions.base import Coalitions, Estimate, Game
from ...cuts import INPUT
from ...distributions.baselines import Here
from ...errors import CutError, FeatureError
from ...features.base import Groups
from ...removal import Drop, Removal, Removing
from ..plan import Block, Leaves, Plan
from .path import Pass
from .sites import Held, Site
from .value_function import Part, Worths

ASK = 1 << 22
"""Numbers of a coalition matrix that is made at once."""


@dataclass(frozen=True)
class Played:
    """What came of a game about some records: the pass they had, and features' values and errors ``[quantities, records, features]``.

    ``empty`` is the quantity with nothing there, ``[quantities, records]``; None where it was not asked for.
    """

    block: Block
    estimate: Estimate
    empty: np.ndarray | None
    asked: int
    errors: list[list[Array]] = field(default_factory=list)


class Removed(Pass):
    """Some records with features removed at some sites, over the coalitions of a game."""

    def __init__(self, plan: Plan, index: np.ndarray, groups: Groups, sites: Sequence[Site]) -> None:
        super().__init__(plan, index)
        self.all_groups, self.groups, self.sites = groups, groups.of(index), sites
        self.held: list[Held] = []
        self.game: Game | None = None
        self.worths: Worths | None = None

    def ready(self) -> Worths:
        """Run the records themselves, and make the replacements for their features."""
        self._look()
        reads = {
            cut: Reading(list(spots), [a[None] for a in self.record[cut]])
            for cut, spots in zip(self.plan.cuts, self.block.spots, strict=True)
        }
        self.held = [site.held(reads, self.session.call) for site in self.sites]
        parts, first = [], 0
        for site, (spots, values) in zip(self.sites, self.held, strict=True):
            if site.cut.layer and site.cut != self.plan.at:
                self.check_writable(site.cut, spots, values)
            parts += [self._part(site, (spots, values), removal, where, first) for removal, where in site.removals()]
            first += len(values)
        return Worths(self, parts)

    def _part(self, site: Site, held: Held, removal: Removal, where: list[int], first: int) -> Part:
        """Some arrays of a site, by number, with the replacements for their features; ``first`` is how many come before the site's."""
        spots, values = held
        here = Here(
            [values[k] for k in where],
            [site.names[k] for k in where],
            self.index,
            self.session.records,
            self.session.call,
            lambda call: self._elsewhere(site, call, where),
            self.plan.seed,
            [spots[k].axis for k in where],
            bool(site.cut.layer),
            first + where[0],
        )
        groups = replace(self.all_groups, cells=tuple(self.all_groups.cells[first + k] for k in where))

        def everyone(index: np.ndarray) -> Leaves:
            found = self.evaluate(index=index, read=site.cuts).reads
            return [site.held(found, self.session.call)[1][k] for k in where]

        at_spots, x, ids = [spots[k] for k in where], list(here.values), None
        if isinstance(removal, Drop):
            ids = x
            at_spots, x = self._mask(site, removal, x)
        scene = Removing(replace(here, values=x), groups, everyone, bool(site.cut.layer), ids)
        live = bool(site.cut.layer) and len(self.sites) > 1
        return Part(at_spots, x, groups.of(self.index).cells, removal.stand_in(scene), live)

    def _elsewhere(self, site: Site, call: Call, where: list[int]) -> Leaves:
        """The values at a site when the model is called with other arguments."""
        with self.session.another(call.after(self.session.call)) as other:
            job = Job(np.arange(other.records), read=site.cuts)
            found = other.evaluate(job)
            self.count(found, job)
            values = site.held(found.reads, call)[1]
            return [values[k] for k in where]

    def play(self) -> Played:
        """Run the game to its end."""
        self.worths = worths = self.ready()
        over: Coalitions = self.plan.over
        self.game = over.game(self.groups.players, self.plan.seed)
        most = max(1, min(4096, ASK // max(1, self.groups.count)))
        while (coalitions := self.game.ask(most)) is not None:
            if not len(coalitions):  # the game waited for values that it has now
                continue
            try:
                found = worths(coalitions)
            except BaseException:
                if len(known := worths.known_of(coalitions)):
                    self._tell(coalitions[: len(known)], np.stack(known, 1))
                raise
            self._tell(coalitions, found)
        return self.played()

    def _tell(self, coalitions: np.ndarray, worth: np.ndarray) -> None:
        """Give values to the game; one that an interrupt left in the middle of its sums has no values to show."""
        game, self.game = self.game, None
        assert game is not None
        game.tell(coalitions, worth)
        self.game = game

    def let_go(self) -> None:
        """Break the circle of this and what evaluates with it: the model goes with its last reference, not when the collector comes."""
        self.worths = None

    def played(self, empty: bool = True) -> Played:
        """What there is so far; without ``empty`` nothing is run for it."""
        assert self.game is not None and self.worths is not None
        found = self.game.estimate()
        nobody = None
        if found.complete and empty:
            nobody = worth_of(self.worths, self.groups.count)
        estimate, block = together(found, self.worths.apart), self.block
        block.spots, block.record = [spots for spots, _ in self.held], [values for _, values in self.held]
        block.values = self._placed(estimate.values)
        errors = [] if estimate.error is None else self._placed(estimate.error)
        if nobody is not None:
            block.change = block.explained - nobody
        return Played(block, estimate, nobody, self.worths.asked, errors)

    def _placed(self, values: np.ndarray) -> list[list[Array]]:
        """Features' values at their coordinates, for each site arrays of the kind there; a matrix of interactions as it is."""
        x = self.held[0][1][0]
        if values.ndim > 3:
            return [[namespace(x).asarray(values, x)]]
        parts, found = iter(self.groups.spread(values)), []
        for _, arrays in self.held:
            own = []
            for x, part in zip(arrays, parts, strict=False):
                xp = namespace(x)
                full = np.broadcast_to(part, (*part.shape[:2], *x.shape[1:]))
                own.append(xp.asarray(np.array(full, None if xp.is_floating(x) else np.float32), x))
            found.append(own)
        return found

    def _mask(self, site: Site, removal: Drop, x: Leaves) -> tuple[list[ArrayAt], Leaves]:
        """The mask of a sequence, where removed tokens are dropped. Raises FeatureError where there is none."""
        if site.cut.layer or len(x) != 1:
            raise FeatureError(f"by={removal!r} at {site.cut!r}", try_="at=asc.INPUT, with token ids")
        at = INPUT.at(removal.mask)
        try:
            reading = self.evaluate(read=(at,)).reads[at]
        except CutError as error:
            there = "no such argument that belongs to the records"
            raise FeatureError(f"by={removal!r}", there=there, try_="attention_mask=..., or by=asc.MaskToken(id)") from error
        masks = [a[0] for a in reading.arrays]
        if (found := [tuple(m.shape) for m in masks]) != (wanted := [tuple(x[0].shape)]):
            there, try_ = f"a mask of shape {found[0]} for values of shape {wanted[0]}", "a number for each token, with at= the token ids"
            raise FeatureError(f"by={removal!r}", there=there, try_=try_, code="E-FEATURES-SHAPE")
        return list(reading.spots), masks


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

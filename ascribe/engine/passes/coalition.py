"""The coalition pass: records with features removed, over the coalitions that an estimator asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...arrays import Array, namespace
from ...backends.protocol import ArrayAt, Job, Reading
from ...calls.call import Call
from ...coalitions.base import Coalitions, Game, GameEstimate
from ...cuts import INPUT
from ...distributions.baselines import CutValues
from ...errors import CutError, FeatureError
from ...features.base import Groups
from ...removal import Drop, Removal, RemovalContext
from ...removal.base import check_replacement
from ..batch import Batch, Leaves
from ..plan import Plan
from .records import Records
from .removal_sites import Held, Site, name_grouping
from .value_function import SiteArrays, ValueFunction

ASK = 1 << 22
"""Numbers of a coalition matrix that is made at once."""


def run_coalitions(plan: Plan, index: np.ndarray) -> Batch:
    """Returns the values of the features of some records.

    An error in the middle has the batch as far as it is known in ``unfinished``.
    """
    evaluation = prepare_coalitions(plan, index)
    try:
        return evaluation.run()
    except BaseException as error:
        vars(error)["unfinished"] = evaluation.unfinished()
        raise


def prepare_coalitions(plan: Plan, index: np.ndarray) -> CoalitionPass:
    """Runs the records themselves, and makes the replacements for their features."""
    records, features = Records(plan, index), plan.features
    assert features is not None
    records.read()
    reads = {
        cut: Reading(list(spots), [a[None] for a in records.values[cut]]) for cut, spots in zip(plan.cuts, records.batch.spots, strict=True)
    }
    held = [site.held(reads, plan.session.call) for site in features.sites]
    parts, first = [], 0
    for site, (spots, values) in zip(features.sites, held, strict=True):
        if site.cut.layer and site.cut != plan.at:
            records.check_writable(site.cut, spots, values)
        parts += [make_part(records, site, (spots, values), removal, where, first) for removal, where in site.removals()]
        first += len(values)
    groups = features.groups.take(index)
    return CoalitionPass(records, groups, held, ValueFunction(records, groups, parts))


def make_part(records: Records, site: Site, held: Held, removal: Removal, where: list[int], first: int) -> SiteArrays:
    """Returns some arrays of a site, by number, with the replacements for their features; ``first`` arrays come before the site's."""
    spots, values = held
    session, features = records.session, records.plan.features
    assert features is not None
    here = CutValues(
        [values[k] for k in where],
        [site.names[k] for k in where],
        records.index,
        session.records,
        session.call,
        lambda call: read_site(records, site, call, where),
        records.plan.request.seed,
        [spots[k].axis for k in where],
        bool(site.cut.layer),
        first + where[0],
    )
    groups = replace(features.groups, cells=tuple(features.groups.cells[first + k] for k in where))

    def read_records(index: np.ndarray) -> Leaves:
        reads = records.evaluate(index=index, read=site.cuts).reads
        return [site.held(reads, session.call)[1][k] for k in where]

    at_spots, x, ids = [spots[k] for k in where], list(here.values), None
    if isinstance(removal, Drop):
        ids = x
        at_spots, x = read_mask(records, site, removal, x)
    context = RemovalContext(replace(here, values=x), groups, read_records, bool(site.cut.layer), ids)
    live = bool(site.cut.layer) and len(features.sites) > 1
    replacement = check_replacement(removal.replacement_for(context), removal, x)
    return SiteArrays(at_spots, x, groups.take(records.index).cells, replacement, live)


def read_site(records: Records, site: Site, call: Call, where: Sequence[int]) -> Leaves:
    """Returns the values at a site when the model is called with other arguments."""
    with records.session.another(call.after(records.session.call)) as other:
        job = Job(np.arange(other.records), read=site.cuts)
        evidence = other.evaluate(job)
        records.count(evidence, job)
        values = site.held(evidence.reads, call)[1]
        return [values[k] for k in where]


def read_mask(records: Records, site: Site, removal: Drop, x: Leaves) -> tuple[list[ArrayAt], Leaves]:
    """Returns the mask of a sequence, in which removed tokens are dropped. Raises FeatureError where there is none."""
    if site.cut.layer or len(x) != 1:
        raise FeatureError(
            "Tokens can only be dropped at the input", found=f"by={removal!r} at {site.cut!r}", advice="at=asc.INPUT, with token ids"
        )
    at = INPUT.at(removal.mask)
    try:
        reading = records.evaluate(read=(at,)).reads[at]
    except CutError as error:
        there = "no such argument that belongs to the records"
        raise FeatureError(
            f"`by={removal!r}` needs a mask among the arguments", found=there, advice="attention_mask=..., or by=asc.MaskToken(id)"
        ) from error
    masks = [a[0] for a in reading.arrays]
    if (shapes := [tuple(m.shape) for m in masks]) != (wanted := [tuple(x[0].shape)]):
        there, advice = f"a mask of shape {shapes[0]} for values of shape {wanted[0]}", "a number for each token, with at= the token ids"
        raise FeatureError(
            f"`by={removal!r}` needs a mask with one number for each token", found=there, advice=advice, code="E-FEATURES-SHAPE"
        )
    return list(reading.spots), masks


class CoalitionPass:
    """Some records over the coalitions of one game; ``held`` are the values at each site."""

    def __init__(self, records: Records, groups: Groups, held: Sequence[Held], values: ValueFunction) -> None:
        self.records, self.groups, self.held, self.values = records, groups, held, values
        self.game: Game | None = None

    def run(self) -> Batch:
        """Evaluates all coalitions that the game asks for, and returns the batch."""
        request, features = self.records.plan.request, self.records.plan.features
        over: Coalitions = request.over  # type: ignore[assignment]
        assert features is not None
        with name_grouping(features.groups):
            self.game = over.game(self.groups.players, request.seed)
            most = max(1, min(4096, ASK // max(1, self.groups.count)))
            while (coalitions := self.game.ask(most)) is not None:
                if not len(coalitions):  # the game waited for values that it has now
                    continue
                self._tell(coalitions, self._evaluate(coalitions))
            estimate = self.game.estimate()
        return self._finish(estimate, self.values.empty() if estimate.complete else None)

    def unfinished(self) -> Batch | None:
        """Returns the batch as far as it is known, without a further run; None where too little is known."""
        try:
            return None if self.game is None else self._finish(self.game.estimate(), None)
        except Exception:  # too few values are known; the user must see what stopped the game
            return None

    def _evaluate(self, coalitions: np.ndarray) -> np.ndarray:
        """Returns the values of coalitions; those known when an error comes are still given to the game."""
        try:
            return self.values(coalitions)
        except BaseException:
            if len(known := self.values.known_of(coalitions)):
                self._tell(coalitions[: len(known)], np.stack(known, 1))
            raise

    def _tell(self, coalitions: np.ndarray, values: np.ndarray) -> None:
        """Gives values to the game; one that an interrupt left in the middle of its sums has no values to show."""
        game, self.game = self.game, None
        assert game is not None
        game.tell(coalitions, values)
        self.game = game

    def _finish(self, estimate: GameEstimate, empty: np.ndarray | None) -> Batch:
        """Returns the batch with an estimate; ``empty`` is the quantity with no feature present, where that was evaluated."""
        estimate, batch = join_draws(estimate, self.values.apart), self.records.batch
        batch.spots, batch.record = [spots for spots, _ in self.held], [values for _, values in self.held]
        batch.values = self._placed(estimate.values)
        batch.errors = [] if estimate.error is None else self._placed(estimate.error)
        batch.estimate, batch.coalitions = estimate, self.values.evaluated
        if empty is not None:
            batch.change = batch.explained - empty
        return batch

    def _placed(self, values: np.ndarray) -> list[list[Array]]:
        """Returns features' values at their coordinates, for each site arrays of the kind there; a matrix of interactions as it is."""
        x = self.held[0][1][0]
        if values.ndim > 3:
            return [[namespace(x).asarray(values, x)]]
        parts, placed = iter(self.groups.scatter(values)), []
        for _, arrays in self.held:
            own: list[Any] = []
            for x, part in zip(arrays, parts, strict=False):
                xp = namespace(x)
                full = np.broadcast_to(part, (*part.shape[:2], *x.shape[1:]))
                own.append(xp.asarray(np.array(full, None if xp.is_floating(x) else np.float32), x))
            placed.append(own)
        return placed


def join_draws(estimate: GameEstimate, draws: int) -> GameEstimate:
    """Returns estimates for several random replacements as one, with the spread among them in its error.

    The estimator's own error is at most the mean of theirs; the draws add the standard error of their mean.
    """
    if draws == 1:
        return estimate
    shape = (-1, draws, *estimate.values.shape[1:])
    values = estimate.values.reshape(shape)
    spread = values.std(1, ddof=1) / np.sqrt(draws)
    own = 0.0 if estimate.error is None else estimate.error.reshape(shape).mean(1)
    return replace(estimate, values=values.mean(1), error=np.sqrt(spread**2 + np.square(own)))

"""The removal engine's door and way out: features found, blocks of records played, and an Attribution made of what came."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..backends import opened
from ..backends.protocol import ArrayAt, Session
from ..calls.call import Call
from ..coalitions.base import adapts
from ..cuts import Cut, as_cut
from ..errors import CoalitionError, FeatureError
from ..features import Groups
from ..features.table import FeatureTable
from ..removal import Drop, PerInput, Removal, Replace
from ..result.attribution import Attribution, Check, Cost, Gap
from ..utils.completeness import EXACT, described
from .checks import general as ask
from .checks.repeatability import repeated, unsteady
from .chunks import Progress, blocks, fitting, showing
from .passes.coalition import Played, Removed
from .passes.sites import Site, groups_of, sites_of
from .plan import Block, Plan
from .result import Request, chunk_for, chunk_key, cut_text, largest_target, noted, rows_of, settings, several_uses, shaped, warn, whole

FIRST = 8
"""Rows at once to begin with: nothing is kept for a backward pass, so that as many fit where fewer would be tried otherwise."""
TABLE = 5
"""From so many records on, the values of a column show whether 0 is one of them."""
SCALED = 10.0
"""A column with larger values is not standardised."""
LARGE = 0.5
"""A standard error of this share of a record's largest value leaves the order of its features open."""


def explain_removed(model: Any, call: Call, asked: Request) -> Attribution:
    """Carry out a request over coalitions: blocks of records, each over all coalitions of one game.

    Whatever stops it in the middle has what was found so far in ``partial``.
    """
    start = time.perf_counter()
    with opened(model, call) as door, door as session:
        game = games_of(session, asked)
        try:
            game.run()
        except (Exception, KeyboardInterrupt) as error:
            partial = game.partial(time.perf_counter() - start)
            if isinstance(error, CoalitionError) and game.groups.chosen:
                there = f"{error.there}; {game.groups.told}, chosen because there are more numbers"
                named = type(error)(error.asked, there=there, try_=f"{error.try_}, by features=", code=error.code)
                named.partial = partial
                raise named from error
            vars(error)["partial"] = partial
            raise
        return game.result(game.done, time.perf_counter() - start)


def games_of(session: Session, asked: Request) -> Games:
    """The games of a call, ready to be played. Raises CutError, FeatureError or CoalitionError where they cannot be."""
    if not asked.multiply:
        there = "an influence is a gradient; coalitions give what features add"
        raise FeatureError(f"influence over={asked.over!r}", there=there, try_="asc.attribute(...)")
    sites, held = sites_of(session, asked)
    on = session.resolve(as_cut(asked.quantities[0].on), False)
    return Games(session, asked, groups_of(session, sites, held, asked), sites, on)


def rows_needed(model: Any, call: Call, asked: Request) -> tuple[int, int, int]:
    """How many rows a request over coalitions takes at most, how many at once, and the bytes to spare. Runs one record once."""
    with opened(model, call) as door, door as session:
        game = games_of(session, asked)
        with showing(1, False) as progress:
            draws = Removed(game.planned(progress), np.arange(1), game.groups, game.sites).ready().draws
        return (game.coalitions * draws + 1) * session.records, game.chunker.size, session.device.spare_memory()


class Games:
    """The games of all blocks of a call, and the result that they make."""

    def __init__(self, session: Session, asked: Request, groups: Groups, sites: Sequence[Site], on: Cut) -> None:
        self.session, self.asked, self.groups, self.sites, self.on = session, asked, groups, sites, on
        self.cuts = tuple(cut for site in sites for cut in site.cuts)
        self.at = self.cuts[0]
        self.chunker = chunk_for(session, asked, self.at)
        if not self.chunker.settled:
            self.chunker.size = max(self.chunker.size, FIRST)
        self.done: list[Played] = []
        self.current: Removed | None = None
        self.plan: Plan | None = None

    @property
    def coalitions(self) -> int:
        """How many coalitions a game asks for, at most."""
        over: Any = self.asked.over
        return int(over.rows(self.groups.players))

    def planned(self, progress: Progress) -> Plan:
        """Everything settled that records are run with."""
        asked, at = self.asked, self.at
        return Plan(
            self.session, asked.quantities, self.cuts, asked.over, at, self.on, asked.by, asked.seed, True, "mean", self.chunker, progress
        )

    def run(self) -> None:
        """Play them all, block after block."""
        session, asked = self.session, self.asked
        over: Any = asked.over
        with showing(self.coalitions * session.records, asked.progress) as progress:
            self.plan = plan = self.planned(progress)
            together = session.records > self.chunker.size and not plan.apart()
            own = adapts(over, self.groups.players) and plan.apart()
            single = session.records > 1 and (any(session.cut_info(cut).is_shared() for cut in self.cuts) or own)
            for index in blocks(session.records, self.chunker, together and not single, single):
                self.done += fitting(index, self.chunker, self._play, out_of_memory=session.device.out_of_memory, apart=plan.apart)
        if asked.chunk is None:
            session.facts.shapes.chunkers[chunk_key(asked, self.at)] = self.chunker

    def _play(self, index: np.ndarray) -> Played:
        assert self.plan is not None
        self.current = Removed(self.plan, index, self.groups, self.sites)
        found = self.current.play()
        self.current.let_go()
        self.current = None
        return found

    def partial(self, seconds: float) -> Attribution | None:
        """What there is in the middle: the blocks that are done, and what the current one knows. None where that is nothing."""
        parts = list(self.done)
        if self.current is not None and self.current.game is not None:
            with suppress(Exception):  # too few values are known; what stopped the game is what its user must see
                parts.append(self.current.played(empty=False))
            self.current.let_go()
        return self.result(parts, seconds, partial=True) if parts else None

    def result(self, done: Sequence[Played], seconds: float, partial: bool = False) -> Attribution:
        """What a call returns."""
        assert self.plan is not None
        plan, asked, session = self.plan, self.asked, self.session
        block = whole(session, [p.block for p in done])
        values, error = merged(done)
        gap = None
        if block.change is not None:
            flat, held = values.reshape(*values.shape[:2], -1), block.values[0][0]
            gap = ask.gap_of(flat.sum(-1), np.abs(flat).sum(-1), block.change, block.explained, namespace(held).eps(held))

        def one(numbers: np.ndarray | None) -> np.ndarray | None:
            return numbers if asked.several or numbers is None else numbers[0]

        places = self.places(block) if values.ndim == 3 else ()  # interactions have pairs of features, and no columns
        table = FeatureTable(values if asked.several else values[0], one(error), self.groups.names, self.groups.told, places)
        checks = (*self.checks(done, values, error, gap, partial), *largest_target(session, asked.quantities, block.output))
        if not partial:
            checks = self._completed(checks, block, values)
            warn(checks)
        return Attribution(
            values=self._arrays(block.spots, block.values, values),
            record=self._each([shaped(session, s, r, 0, False) for s, r in zip(block.spots, block.record, strict=True)])
            if values.ndim == 3
            else None,
            cut=cut_text([site.cut for site in self.sites], asked.many),
            quantity=repr(list(asked.quantities) if asked.several else asked.quantities[0]),
            method=str(replace(asked, removal=self.removal)),
            explained=one(block.explained),
            prediction=block.output,
            class_names=session.traits.class_names,
            target=one(block.classes),
            gap=None if gap is None else Gap(*(n if asked.several else n[0] for n in (gap.absolute, gap.relative))),
            checks=checks,
            cost=Cost(block.forward, 0, block.rows, seconds, plan.chunker.size),
            settings=settings(asked, block) | {"by": repr(self.removal), "features": repr(asked.features), "coalitions": done[0].asked},
            error=None if error is None else self._arrays(block.spots, whole_errors(session, done), error),
            features=table,
            rows=rows_of([p.block.spots[0] for p in done][:1]) if values.ndim == 3 else None,
        )

    def _completed(self, checks: Sequence[Check], block: Block, values: np.ndarray) -> tuple[Check, ...]:
        """Checks with those that take a run after a finished game, and the reason for values that are not finite."""
        assert self.plan is not None
        named = (replace(c, detail=c.detail + self._emptied()) if c.name == "finite" and c.bad else c for c in checks)
        return (*named, *repeated(unsteady(self.plan, block), float(np.abs(values[:, 0]).max(initial=0.0))))

    @property
    def removal(self) -> Removal:
        """The removals of all sites, as one value."""
        by = [site.removal for site in self.sites]
        if self.asked.removal is not None:
            return self.asked.removal
        return by[0] if all(one == by[0] for one in by) else PerInput(tuple(by))

    def _emptied(self) -> str:
        """What to do about NaN where all tokens of a text are dropped."""
        if not any(isinstance(one, Drop) and not one.keep for site in self.sites for one, _ in site.removals()):
            return ""
        return "; a model with no token left may have nothing to take the mean of: by=asc.Drop(keep=tokenizer.all_special_ids) keeps some"

    def places(self, block: Block) -> tuple[np.ndarray | None, ...]:
        """Which feature each column belongs to, for every array at the cuts that is a table."""
        if self.groups.cover is not None:
            return ()
        held = [pair for spots, record in zip(block.spots, block.record, strict=True) for pair in zip(spots, record, strict=True)]
        return tuple(
            np.broadcast_to(cells, (len(cells), x.shape[1])).astype(np.int32) if x.ndim == 2 and spot.axis == 0 else None
            for (spot, x), cells in zip(held, self.groups.cells, strict=True)
        )

    def _arrays(self, spots: Sequence[Sequence[ArrayAt]], arrays: Sequence[Sequence[Array]], values: np.ndarray) -> Any:
        """Values at the cuts in the user's own form; a matrix of interactions as one array."""
        if values.ndim > 3:
            return self.session.given(arrays[0][0] if self.asked.several else arrays[0][0][0])
        return self._each([shaped(self.session, s, a, 1, not self.asked.several) for s, a in zip(spots, arrays, strict=True)])

    def _each(self, parts: list[Any]) -> Any:
        """What there is at each cut, as it was asked for: at one, or at a list of them."""
        return tuple(parts) if self.asked.many else parts[0]

    def checks(
        self, done: Sequence[Played], values: np.ndarray, error: np.ndarray | None, gap: Gap | None, partial: bool
    ) -> tuple[Check, ...]:
        """What is asked of every result over coalitions."""
        sizes = np.abs(values).reshape(*values.shape[:2], -1).sum(-1)
        told = dict.fromkeys(n for p in done for n in p.estimate.notes)
        groups = self.groups
        return (
            complete(gap, error),
            ask.finite(sizes, self.session.notes, gap) if not partial else Check("finite", "fail", "stopped in the middle: this is a part"),
            ask.something(sizes),
            grouped(groups, self.sites),
            Check("budget", "ok", f"{done[0].asked} of 2^{groups.count} coalitions were run"),
            *([] if self.asked.removal is not None else [unasked(self.removal, self.sites, [p.block.record for p in done])]),
            *([precise(values, error)] if error is not None else []),
            *(Check("estimate", "ok", note) for note in told),
            *noted(self.session),
            *several_uses(done[0].block.spots),
        )


def grouped(groups: Groups, sites: Sequence[Site]) -> Check:
    """What the features are, with a warning where they were chosen among others, or where inputs are left out."""
    told, warns = groups.told, groups.chosen or bool(groups.doubt)
    if groups.chosen:
        told += ", chosen because there are too many numbers; features= says otherwise"
    if groups.doubt:
        told += f"; {groups.doubt}"
    for site in sites:
        if site.left:
            by = ", ".join(f"{name!r}: {'asc.MaskToken(id)' if name in site.left else site.removal}" for name in (*site.names, *site.left))
            told += f"; {', '.join(site.left)} of whole numbers or words left out, because nothing is known to replace them"
            told, warns = f"{told}; by={{{by}}} or a background of all inputs, by=asc.Resample((rows, ...)), takes them in", True
    return Check("features", "warn" if warns else "ok", told)


def unasked(removal: Removal, sites: Sequence[Site], records: Sequence[list[list[Array]]]) -> Check:
    """The default removal, with a warning where it is 0 and columns of a table have scales of their own."""
    told = f"{removal!r}, because by= is not given"
    zero = [k for k, site in enumerate(sites) if isinstance(site.removal, Replace) and not site.cut.layer]
    tables = [as_numpy(x) for record in records for k in zero for x in record[k] if x.ndim == 2]
    if found := [there for t in tables if (there := unscaled(t))]:
        advice = "by=asc.Resample(x_train) takes values that occur: some dozen rows of the data, one row for each"
        return Check("removal", "warn", f"{told}: {found[0]}; {advice}")
    return Check("removal", "ok", told)


def unscaled(table: np.ndarray) -> str:
    """What in a table says that 0 is no average value of its columns; nothing where they may be standardised, or mostly are 0."""
    if not table.size:
        return ""
    sizes = np.nan_to_num(np.abs(table), nan=0.0, posinf=0.0)
    beyond = int(((table.min(0) > 0) | (table.max(0) < 0)).sum()) if len(table) >= TABLE else 0
    if beyond:
        return f"0 is beyond all values of {beyond} columns"
    if (sizes == 0).mean() >= 0.5:
        return ""
    if sizes.max() > SCALED:
        return f"columns have scales of their own, with values up to {sizes.max():.3g}, and 0 may be far from all of a column's"
    return "all values are above 0, which may be far from all of a column's" if table.min() > 0 and sizes.max() > 1 else ""


def whole_errors(session: Session, done: Sequence[Played]) -> list[list[Array]]:
    """The errors' arrays of all blocks as one, for each site."""
    return [[session.xp.concat([p.errors[c][i] for p in done], 1) for i in range(len(arrays))] for c, arrays in enumerate(done[0].errors)]


def merged(done: Sequence[Played]) -> tuple[np.ndarray, np.ndarray | None]:
    """Values and errors of all blocks, ``[quantities, records, features]``."""
    values = np.concatenate([p.estimate.values for p in done], 1)
    errors = [p.estimate.error for p in done if p.estimate.error is not None]
    return values, np.concatenate(errors, 1) if len(errors) == len(done) else None


def complete(gap: Gap | None, error: np.ndarray | None) -> Check:
    """Whether features' values add up to the change of the quantity, up to their standard errors."""
    if gap is None:
        return Check("completeness", "skipped", "this estimate does not promise a sum")
    allowed = 0.0 if error is None else 3 * np.sqrt(np.square(np.nan_to_num(error)).reshape(*error.shape[:2], -1).sum(-1))
    bad = (gap.relative > EXACT.good) & (np.abs(gap.absolute) > allowed)
    records = tuple(int(i) for i in np.flatnonzero(np.atleast_2d(bad).any(0)))
    return Check("completeness", "fail" if records else "ok", f"gap {described(gap.relative)}, feature by feature", records)


def precise(values: np.ndarray, error: np.ndarray) -> Check:
    """Whether standard errors are small next to the largest value of each record."""
    flat = np.abs(values).reshape(*values.shape[:2], -1).max(-1)
    worst = np.nan_to_num(error).reshape((*flat.shape, -1)).max(-1)
    share = np.divide(worst, flat, out=np.zeros_like(worst), where=flat > 0)
    records = tuple(int(i) for i in np.flatnonzero((share > LARGE).any(0)))
    said = f"standard errors of at most {as_numpy(share.max(initial=0.0)):.2g} of a record's largest value"
    return Check("error", "warn" if records else "ok", said + ("; a larger budget makes them smaller" if records else ""), records)

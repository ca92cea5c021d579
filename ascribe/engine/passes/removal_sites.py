"""The sites where features are removed: one cut or several, each with its own removal, and integer inputs next to floating ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Array, namespace
from ...backends.independence import records_independent
from ...backends.protocol import ArrayAt, Job, Reading, Session
from ...calls.call import Call
from ...coalitions.base import Coalitions
from ...coalitions.hierarchies import halve_grid
from ...cuts import Cut, as_cut
from ...errors import CoalitionError, CutError, FeatureError
from ...features import Automatic, EachElement, FeatureContext, Features, Groups, Masks, as_features
from ...features.coordinates import PerArray
from ...removal import Drop, Nearest, Patch, PerInput, Permute, Removal, Replace, Resample
from ...removal.parse import split_removal
from ...tree import walk
from ...values import is_number
from ..request import Request

Held = tuple[list[ArrayAt], list[Array]]
"""Where the arrays of a site are, and their values for some records."""


@dataclass(frozen=True)
class Site:
    """One of the cuts at which features are removed. ``cuts`` are itself and, at the input, the integer arguments that are included.

    ``names`` are those of its arrays, ``left`` those of integer arguments that are left out, because they have no default replacement.
    """

    cuts: tuple[Cut, ...]
    removal: Removal
    names: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def cut(self) -> Cut:
        return self.cuts[0]

    @property
    def label(self) -> str:
        """What its features are called by where there are several sites."""
        return self.names[0] if len(self.names) == 1 and not self.cut.layer else self.cut.layer or repr(self.cut)

    def held(self, reads: Mapping[Cut, Reading], call: Call) -> Held:
        """Where its arrays are, and their values for some records; the model's arguments in the order of the call."""
        pairs = [(s, a[0]) for cut in self.cuts for s, a in zip(reads[cut].spots, reads[cut].arrays, strict=True)]
        if len(self.cuts) > 1:
            order = {path: k for k, (path, _) in enumerate(walk((call.args, call.kwargs)))}
            pairs.sort(key=lambda pair: order[pair[0].path])
        return [s for s, _ in pairs], [a for _, a in pairs]

    def read(self, session: Session, index: np.ndarray) -> Held:
        """:meth:`held` for these records of the call."""
        return self.held(session.evaluate(Job(index, read=self.cuts)).reads, session.call)

    def removals(self) -> list[tuple[Removal, list[int]]]:
        """The removals with the numbers of the arrays that each is for."""
        if not isinstance(self.removal, PerInput):
            return [(self.removal, list(range(len(self.names))))]
        return [(one, [k]) for k, one in enumerate(split_removal(self.removal, self.names))]


@dataclass(frozen=True)
class FeatureSites:
    """The sites of a request over coalitions, and the features that their coordinates are grouped to."""

    sites: tuple[Site, ...]
    groups: Groups

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts of all sites."""
        return tuple(cut for site in self.sites for cut in site.cuts)

    def count_coalitions(self, over: Coalitions) -> int:
        """Returns how many coalitions are evaluated at most."""
        with name_grouping(self.groups):
            return int(over.rows(self.groups.players))


@contextmanager
def name_grouping(groups: Groups) -> Iterator[None]:
    """Adds to a CoalitionError how the features were chosen, where ``features=`` was not given."""
    try:
        yield
    except CoalitionError as error:
        if not groups.is_default:
            raise
        there = f"{error.found}; {groups.description}, chosen because there are many elements"
        raise type(error)(
            error.problem, found=there, advice=f"{error.advice}; `features=` chooses the features", code=error.code
        ) from error


def find_sites(session: Session, request: Request) -> FeatureSites:
    """Returns the sites of a request, and its features. Raises CutError and FeatureError where nothing can be removed."""
    sites, held = find_all_sites(session, request)
    return FeatureSites(sites, make_groups(session, sites, held, request))


def first_record(session: Session) -> np.ndarray:
    """The first record, or all of them where they cannot be run apart."""
    return np.arange(1 if records_independent(session) else session.records)


def find_all_sites(session: Session, request: Request) -> tuple[tuple[Site, ...], tuple[Held, ...]]:
    """The sites of a request, and what each holds for the first record. Raises CutError and FeatureError where nothing can be removed."""
    cuts = [session.resolve(cut, False) for cut in request.cuts]
    for cut in cuts:
        if not cut.layer and cut.anchor == "out":
            raise CutError(
                f"Features cannot be removed at {cut!r}", found="the output itself", advice="at=asc.INPUT, or a layer", code="E-CUT-OUTPUT"
            )
    removals: list[Removal | None] = [request.removal] * len(cuts)
    if request.many and isinstance(request.removal, PerInput):
        removals = list(split_removal(align_removals(request.removal, request.cuts), [repr(cut) for cut in request.cuts], "cut"))
    sites, held = zip(*(make_site(session, cut, by, request, cuts) for cut, by in zip(cuts, removals, strict=True)), strict=True)
    places = [(s.cut.layer, s.cut.anchor, s.call, s.path) for spots, _ in held for s in spots]
    if len(set(places)) < len(places):
        raise CutError("`at=` names a cut twice", found=f"at={list(request.cuts)!r}", advice="each cut once")
    return sites, held


def align_removals(removal: PerInput, cuts: Sequence[Cut]) -> PerInput:
    """Removals by the cuts' own representation, where a dict has them by cut or by the name of a layer."""
    given = removal.by_input
    if not isinstance(given, Mapping):
        return removal
    known = {key: repr(as_cut(key)) if isinstance(key, (str, Cut)) and as_cut(key) in cuts else key for key in given}
    return PerInput({known[key]: one for key, one in given.items()})


def make_site(session: Session, cut: Cut, removal: Removal | None, request: Request, cuts: Sequence[Cut]) -> tuple[Site, Held]:
    """Returns a cut with its integer arguments that are included and its removal, and the values of the first record."""
    left_out = [other for other in session.cut_info(cut).left_out() if other not in cuts]
    spots, arrays = Site((cut, *left_out), Replace()).read(session, first_record(session))
    names = session.names(spots)
    ids = {k for k, spot in enumerate(spots) if spot.cut != cut}
    taken = select_paths(removal, request.features, names, ids, [tuple(a.shape[1:]) for a in arrays], session.call) if ids else set()
    here = [k for k in range(len(spots)) if k not in ids or k in taken]
    held = [spots[k] for k in here], [arrays[k] for k in here]
    by = removal if removal is not None else default_removal(session, held[1])
    cuts_here = (cut, *(spots[k].cut for k in sorted(taken)))
    return Site(cuts_here, by, tuple(names[k] for k in here), tuple(names[k] for k in sorted(ids - taken))), held


def select_paths(
    removal: Removal | None, features: Features | None, names: Sequence[str], ids: set[int], shapes: Sequence[tuple[int, ...]], call: Call
) -> set[int]:
    """Returns the indices of the integer arguments that are included with the floating-point ones.

    Included are those with features of their own, and those with a known replacement unless features are given that do not fit them.
    """

    def found(given: Any) -> set[int]:
        if isinstance(given, Mapping):
            return {k for k in ids if names[k] in given or k in given}
        if isinstance(given, Call):
            return ids
        if not isinstance(given, (tuple, list)) or len(given) != len(names):
            return set()
        rest = [shapes[k] for k in range(len(names)) if k not in ids]
        a_row = len(rest) == 1 and rest[0] == (len(given),) and all(map(is_number, given))
        return set() if a_row else ids

    if isinstance(features, (PerArray, Masks)):
        return found(features.by_array if isinstance(features, PerArray) else features.ids)
    if not isinstance(features, (Automatic, EachElement)):
        return set()
    return ids if isinstance(removal, (Permute, Patch)) else found(replacement(removal, call))


def replacement(removal: Removal | None, call: Call) -> Any:
    """What a removal puts in the place of features, as its user gave it; what a function of theirs gives for the call."""
    fields = {PerInput: "by_input", Replace: "value", Resample: "background", Nearest: "background"}
    given = getattr(removal, fields.get(type(removal), ""), None)
    if callable(given):
        with suppress(Exception):  # the error comes where the values are made
            return given(*call.args, **call.kwargs)
    return given


def default_removal(session: Session, arrays: Sequence[Array]) -> Removal:
    """Returns the default removal: 0 for numbers and for images of bytes; tokens that have a mask are dropped.

    Raises FeatureError for other tokens, and for tables of integers or words.
    """
    if all(namespace(a).is_floating(a) or is_bytes(a) for a in arrays):
        return Replace(0.0)
    if "attention_mask" in session.call.kwargs:
        return Drop()
    advice = "by=asc.MaskToken(id) or an attention_mask= for tokens, by=asc.Resample(rows) for tables"
    if any(a.ndim > 2 for a in arrays):
        advice = "by=asc.Replace(0) or by=asc.Blur() for pictures, by=asc.Resample(rows) for others"
    raise FeatureError("There is no default replacement for removed features", found="integers or words", advice=advice)


def is_bytes(array: Array) -> bool:
    """Whether an array ``[records, ...]`` holds pictures of bytes."""
    return array.ndim > 2 and str(array.dtype).removeprefix("torch.") == "uint8"


def make_groups(session: Session, sites: Sequence[Site], held: Sequence[Held], request: Request) -> Groups:
    """The features of a call. Raises FeatureError where they do not fit it."""
    features = request.features
    assert features is not None
    contexts = [make_context(session, site, values) for site, (_, values) in zip(sites, held, strict=True)]
    if not request.many:
        return features.groups(contexts[0])
    if isinstance(features, Masks):  # the same number at several cuts is the same feature
        return features.groups(join_contexts(contexts))
    each: list[Any] = [features] * len(sites)
    if isinstance(features, PerArray):
        each = match_to_cuts(features.by_array, request.cuts)
    return join_groups(
        [as_features(one).groups(context) for one, context in zip(each, contexts, strict=True)], [site.label for site in sites]
    )


def match_to_cuts(given: Any, cuts: Sequence[Cut]) -> list[Any]:
    """Features for each cut, in order or by cut. Raises FeatureError where there are more or fewer."""
    if isinstance(given, Mapping):
        known = {as_cut(key): one for key, one in given.items()}
        given = [known[cut] for cut in cuts if cut in known] if set(known) <= set(cuts) else list(known)
    if len(given) != len(cuts):
        there = ", ".join(map(repr, cuts))
        raise FeatureError(
            f"`features=` has {len(given)} parts, and there must be one for each cut",
            found=there,
            advice="one for each cut",
            code="E-FEATURES-COUNT",
        )
    return list(given)


def make_context(session: Session, site: Site, values: Sequence[Array]) -> FeatureContext:
    """What features of one site are found in; ``values`` are those of the first record."""
    read_all = partial(read_values, session, site, np.arange(session.records))
    return FeatureContext([v[:1] for v in values], site.names, session.records, session.call, bool(site.cut.layer), read_all)


def read_values(session: Session, site: Site, index: np.ndarray) -> list[Array]:
    """The values at a site."""
    return site.read(session, index)[1]


def join_contexts(contexts: Sequence[FeatureContext]) -> FeatureContext:
    """Several contexts as one, with all their arrays."""
    values, names = [v for s in contexts for v in s.values], [n for s in contexts for n in s.names]
    return replace(contexts[0], values=values, names=names, layer=True, read_all=lambda: [a for s in contexts for a in s.read_all()])


def join_groups(groups: Sequence[Groups], labels: Sequence[str]) -> Groups:
    """Features of several sites as those of one game: counted on, with the sites as the largest groups of their tree."""
    cells, names, trees, first, width = [], list[str](), list[Any](), 0, 0
    covered = any(g.membership is not None for g in groups)
    membership = np.zeros((sum(g.cell_count for g in groups), sum(g.count for g in groups)), bool)
    for g, label in zip(groups, labels, strict=True):
        start = width if covered else first
        cells += [np.where(c >= 0, c + start, -1) for c in g.cells]
        own = np.eye(g.count, dtype=bool) if g.membership is None else g.membership
        membership[width : width + g.cell_count, first : first + g.count] = own
        names += g.names or [f"{label}[{k}]" for k in range(g.count)]
        trees.append(shift_ids(halve_grid(g.shape or (g.count,)) if g.tree is None else g.tree, first))
        first, width = first + g.count, width + g.cell_count
    description = "; ".join(f"{label}: {g.description}" for g, label in zip(groups, labels, strict=True))
    is_default, warning = any(g.is_default for g in groups), "; ".join(g.warning for g in groups if g.warning)
    return Groups(
        tuple(cells),
        first,
        description,
        membership if covered else None,
        tuple(names),
        tuple(trees),
        is_default=is_default,
        warning=warning,
    )


def shift_ids(tree: Any, first: int) -> Any:
    """A tree of features with their numbers counted on."""
    return tree + first if isinstance(tree, (int, np.integer)) else tuple(shift_ids(part, first) for part in tree)

"""Arguments and outputs as trees: every leaf found, every container rebuilt as what it was."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ascribe.tree import follow, map_leaves, replace_leaves, walk

Pair = namedtuple("Pair", "left right")
LEAVES = st.none() | st.integers(-5, 5) | st.text(max_size=3) | st.booleans()
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=8,
)


@dataclass(frozen=True)
class Output:
    """A frozen dataclass that derives a field and refuses to be made twice."""

    scores: object
    cache: object = None
    made: list = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        if self.cache == "twice":
            raise AssertionError("made again")
        if self.cache == "once":
            object.__setattr__(self, "cache", "twice")


@settings(max_examples=60)
@given(tree=TREES)
def test_walking_follows_every_path_and_mapping_by_nothing_changes_nothing(tree):
    leaves = list(walk(tree))
    assert all(follow(tree, path) is leaf for path, leaf in leaves)
    assert len({path for path, _ in leaves}) == len(leaves)
    copy = map_leaves(tree, lambda path, leaf: leaf)
    assert copy == tree
    assert type(copy) is type(tree)
    assert replace_leaves(tree, {}) is tree


@settings(max_examples=60)
@given(tree=TREES)
def test_replacing_one_leaf_changes_that_leaf_alone(tree):
    leaves = dict(walk(tree))
    for path in leaves:
        new = dict(walk(replace_leaves(tree, {path: "another"})))
        assert new == {**leaves, path: "another"}


def test_containers_keep_their_types():
    tree = (Pair(1, [2, 3]), OrderedDict(b=4, a=(5,)), {"x": None}, torch.Size([2, 3]))
    new = map_leaves(tree, lambda path, leaf: leaf)
    assert new == tree
    assert [type(part) for part in new] == [Pair, OrderedDict, dict, torch.Size]
    assert list(new[1]) == ["b", "a"]
    assert dict(walk(tree))[(3,)] == torch.Size([2, 3]), "a size is a leaf: it is no container of the model's values"


def test_a_dataclass_is_copied_and_not_made_again():
    output = Output(torch.ones(2), "once")
    new = replace_leaves(output, {("scores",): torch.zeros(2)})
    assert type(new) is Output
    assert new.scores.sum() == 0
    assert new.cache == "twice"
    assert output.scores.sum() == 2


def test_a_hugging_face_output_stays_what_it_was():
    from transformers.modeling_outputs import SequenceClassifierOutput

    output = SequenceClassifierOutput(logits=torch.ones(1, 2), hidden_states=(torch.zeros(1), torch.ones(1)))
    assert [path for path, _ in walk(output)] == [("logits",), ("hidden_states", 0), ("hidden_states", 1)]
    new = replace_leaves(output, {("hidden_states", 1): torch.full((1,), 7.0)})
    assert type(new) is SequenceClassifierOutput
    assert new.hidden_states[1].item() == new["hidden_states"][1].item() == 7
    assert output.hidden_states[1].item() == 1
    assert follow(new, ("logits",)) is output.logits


@pytest.mark.parametrize(("path", "error"), [((5,), IndexError), (("no",), AttributeError), ((0, "no"), KeyError)])
def test_a_path_that_leads_nowhere(path, error):
    with pytest.raises(error):
        follow(({"a": 1},), path)

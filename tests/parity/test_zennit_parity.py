"""LRP's rules and books against zennit's; it is installed by ``make parity`` alone (see docs/decisions/0025-parity-with-zennit.md)."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from tests.support.zennit_cases import NETS, RULES, both, difference, zennit

pytestmark = pytest.mark.skipif(find_spec("zennit") is None, reason="zennit is not installed: make parity")

NAMED = ("epsilon-plus", "epsilon-plus-flat", "epsilon-alpha2-beta1", "epsilon-alpha2-beta1-flat", "epsilon-gamma-box")


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("rule", RULES)
def test_rules_are_zennits(rule, name):
    """To rounding; where their composites stabilise additions and averages, which ours do not, to that stabiliser."""
    stabilised = name == "resnet" and rule in (*NAMED, "the same, biases sharing")
    with zennit() as theirs:
        found, expected = both(rule, name, theirs)
    assert difference(found, expected) < (5e-5 if stabilised else 1e-11)


def test_nothing_of_it_stays():
    """transformers looks for torchvision, and must not find a stand-in."""
    with zennit():
        assert "torchvision" in sys.modules
    assert not [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "zennit")]

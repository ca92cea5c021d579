"""What a recorded run keeps in memory: no more than autograd, and nothing that is missing changes a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ascribe as asc
from ascribe.backends.torch.rules import evaluate, record
from ascribe.backends.torch.rules.framework import tape_bytes
from ascribe.backends.torch.rules.retention import averages, derivatives
from ascribe.backends.torch.rules.storages import Stores
from ascribe.tape import Entry, Tape, tape
from tests.support.rescale_zoo import NETS, batch, net

RULES = (asc.rules.AttnLRP(), asc.rules.CPLRP(), asc.rules.Rescale(), asc.rules.Guided())
LONG, WIDE = 96, 32


def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(
        vocab_size=50,
        hidden_size=WIDE,
        intermediate_size=4 * WIDE,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_labels=3,
        pad_token_id=0,
        use_cache=False,
    )
    return seeded(lambda: LlamaForSequenceClassification(config))


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=50, hidden_size=WIDE, num_hidden_layers=3, num_attention_heads=4, intermediate_size=4 * WIDE, num_labels=3
    )
    return seeded(lambda: BertForSequenceClassification(config))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval().requires_grad_(False)


def saved_by_autograd(model: Any, ids: Tensor) -> int:
    """Bytes of the tensors that a gradient at the embeddings saves; parameters are not counted."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: list[Tensor] = []

    def pack(t: Tensor) -> Tensor:
        kept.append(t)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out = model(inputs_embeds=model.get_input_embeddings()(ids).detach().requires_grad_()).logits
    assert out.requires_grad
    memory = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    return sum(size for address, size in memory.items() if address not in own)


def tapes_of(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tape], list[tape.Var]]:
    """The tapes that are written from here on, and the values that have to be computed again."""
    tapes: list[Tape] = []
    again: list[tape.Var] = []
    prepared, computed = evaluate.record_records, tape.computed

    def watched(*args: Any) -> record.Recorded:
        found = prepared(*args)
        tapes.append(found.tape)
        return found

    def counted(var: tape.Var) -> Tensor:
        again.append(var)
        return computed(var)

    monkeypatch.setattr(evaluate, "record_records", watched)
    monkeypatch.setattr(tape, "computed", counted)
    return tapes, again


@pytest.mark.parametrize("method", [asc.AttnLRP(), asc.CPLRP()], ids=repr)
@pytest.mark.parametrize("make", [llama, bert])
def test_a_tape_holds_no_more_than_autograd_saves(make: Callable[[], nn.Module], method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    ids = torch.randint(1, 50, (1, LONG), generator=torch.Generator().manual_seed(0))
    tapes, again = tapes_of(monkeypatch)
    method(model, ids, of=1, at=asc.EMBEDDINGS)
    assert len(tapes) == 1
    assert tape_bytes(tapes[0]) <= 1.05 * saved_by_autograd(model, ids)
    large = {v.entry.name for v in again if v.entry is not None and v.size > LONG}
    assert large <= {"gelu"}, "what takes a matrix product is computed again"


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("name", NETS)
def test_what_a_tape_does_not_hold_is_computed_again(name: str, rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = net(name), batch()
    over = asc.Reference(0.3) if rule.compares else asc.Point()

    def values(reads: Callable[[Entry], tuple[bool, bool]]) -> Tensor | str:
        monkeypatch.setattr(record, "reading", lambda rule: reads)
        try:
            found: Tensor = asc.attribute(model, x, of=1, by=rule, over=over).values
        except asc.AscribeError as error:
            return str(error)
        return found

    whole, nothing, usual = (
        values(reads) for reads in (lambda e: (True, True), lambda e: (random(e), random(e)), averages if rule.compares else derivatives)
    )
    for found in (nothing, usual):
        assert type(found) is type(whole)
        if isinstance(found, Tensor):
            torch.testing.assert_close(found, whole, rtol=1e-9, atol=1e-12)
        else:
            assert found == whole


def random(entry: Entry) -> bool:
    """Numbers that cannot be drawn again."""
    return entry.call is not None and torch.Tag.nondeterministic_seeded in entry.call.tags


def test_memory_that_was_let_go_is_not_taken_for_what_lay_there() -> None:
    stores = Stores()
    gone = torch.ones(4096)
    var = tape.Var(gone, None)
    stores.put(gone, var)
    assert stores.find(gone) is not None
    del gone
    for _ in range(50):
        assert stores.find(torch.ones(4096)) is None


def test_what_is_held_survives_a_write_into_its_memory() -> None:
    stores = Stores()
    t = torch.arange(4.0)
    handle = stores.save(t[1:])
    stores.part(t)
    t.zero_()
    assert handle.tolist() == [1.0, 2.0, 3.0]
    again = stores.save(t)
    del handle
    stores.part(t)
    t.add_(1)
    assert again.tolist() == [0.0] * 4


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_nothing_of_a_tape_outlives_the_call(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Tape] = []
    recorder = record.Recorder

    class Watched(recorder):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            written.append(self.tape)

    monkeypatch.setattr(record, "Recorder", Watched)
    over = asc.Background(batch(4, seed=3)) if rule.compares else asc.Point()
    asc.attribute(net("relu module"), batch(), of=1, by=rule, over=over, chunk=2)
    assert written
    assert all(not tape.entries and not tape_bytes(tape) for tape in written)
    with pytest.raises(asc.AscribeError):
        asc.attribute(nn.Linear(4, 2).double(), torch.ones(2, 4).double(), of=1, by=asc.rules.Guided())
    assert all(not tape.entries for tape in written)

"""``python -m benchmarks.autolrp``: CP-LRP and AttnLRP by ascribe and by autoLRP, the other library that works on operations.

What share of the score is conserved on a sample of the families of ``transformers``, and what a Llama takes. Prints the tables;
``--commit`` also writes docs/reports/autolrp.md.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch

import ascribe as asc
from benchmarks.zoo.measure import totals
from benchmarks.zoo.sweep import ALIVE, LIMIT, explained, largest, limited, said
from benchmarks.zoo.tiny import Family, families, model_of, scaled_up, unbiased, words

PAGE = Path(__file__).parents[1] / "docs" / "reports" / "autolrp.md"
EVERY, ROUNDS, SECONDS = 8, 5, 60
WORDS = """The two libraries that apply LRP's rules to operations rather than to modules: ascribe, and autoLRP {autolrp} (torch {torch},
transformers {transformers}). Written by `make peers`.

**Conservation.** CP-LRP at the word embeddings of every {every}th family of the [sweep](sweep.md), small models with random weights and no
biases: the share of the largest score that does not reach the words. Conserved is at most {limit:g}. autoLRP runs on the same embeddings,
given as `inputs_embeds`; families whose model does not take those are left out.

{families}

**Time.** Processor time over that of gradient x input, medians of {rounds} rounds in turn, one thread: a Llama of width 512 with 8 layers,
512 words, one record.

{times}
"""


def by_autolrp(model: torch.nn.Module, ids: torch.Tensor, score: Callable[[Any], torch.Tensor], rules: str) -> float:
    """Returns the share of the score that reaches the embeddings; the relevance of the score is 1."""
    import autolrp

    x = autolrp.tensor(model.get_input_embeddings()(ids).detach())  # type: ignore[operator]
    value = score(model(inputs_embeds=x).logits)
    value.lrp(config=autolrp.LRPConfig(rule={**autolrp.BASE, **getattr(autolrp, rules)}))  # type: ignore[attr-defined]
    return float(x.relevance.sum())


def compared(family: Family) -> list[str] | None:
    """One family: what each loses of the score, or raises; None where the model cannot be compared."""
    try:
        with limited(SECONDS):
            model = unbiased(scaled_up(model_of(family)))
            unit, alive = largest(model, family)
            with torch.no_grad():
                model(inputs_embeds=model.get_input_embeddings()(words()))  # type: ignore[operator]
    except Exception:
        return None
    if alive < ALIVE:
        return None

    def score(logits: torch.Tensor) -> torch.Tensor:
        return logits[0, -1, unit] if family.role == "lm" else logits[0, unit]

    def ours() -> float:
        found = explained(model, family, asc.rules.CPLRP())
        score = float(found.explained[0])  # type: ignore[index]
        return abs(float(totals(found).sum()) - score) / max(abs(score), 1e-30)

    def theirs() -> float:
        return abs(by_autolrp(model, words(), score, "CPLRP") - 1)

    return [str(family), *(outcome(run) for run in (ours, theirs))]


def outcome(run: Callable[[], float]) -> str:
    try:
        with limited(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lost = run()
    except Exception as wrong:
        return said(wrong).replace("|", "/")[:90]
    return f"{lost:.1e}" + ("" if lost <= LIMIT else " (not conserved)")


def llama() -> tuple[torch.nn.Module, torch.Tensor]:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=512, num_hidden_layers=8, num_attention_heads=8, intermediate_size=1376, vocab_size=1000, use_cache=False,
        attn_implementation="eager",
    )  # fmt: skip
    return LlamaForCausalLM(config).eval(), torch.randint(0, 1000, (1, 512))


def times() -> list[list[str]]:
    model, ids = llama()
    of = asc.Unit(511, 3)

    def bare() -> None:
        x = model.get_input_embeddings()(ids).detach().requires_grad_()  # type: ignore[operator]
        torch.autograd.grad(model(inputs_embeds=x).logits[0, -1, 3], x)

    contenders: dict[str, Callable[[], Any]] = {"gradient x input": bare}
    for name, by, preset in (("AttnLRP", asc.rules.AttnLRP(), "ATTNLRP"), ("CP-LRP", asc.rules.CPLRP(), "CPLRP")):
        contenders[f"ascribe {name}"] = lambda by=by: asc.attribute(model, input_ids=ids, of=of, at=asc.EMBEDDINGS, by=by, progress=False)
        contenders[f"autoLRP {name}"] = lambda preset=preset: by_autolrp(model, ids, lambda y: y[0, -1, 3], preset)
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(ROUNDS + 1):
        for name, run in contenders.items():
            start = time.process_time()
            run()
            if number:
                took[name].append(time.process_time() - start)
    base = median(took["gradient x input"])
    return [["method", "of gradient x input"], *([name, f"{median(each) / base:.2f}"] for name, each in took.items())]


def counted(rows: Sequence[Sequence[str]]) -> list[str]:
    """How many each library conserves."""
    good = [sum("conserved" not in row[k] and row[k][:1].isdigit() for row in rows) for k in (1, 2)]
    return ["conserved", *(f"{n} of {len(rows)}" for n in good)]


def main(argv: Sequence[str] | None = None) -> int:
    from benchmarks.report import aligned, markdown

    parser = argparse.ArgumentParser(prog="python -m benchmarks.autolrp", description=__doc__)
    parser.add_argument("--every", type=int, default=EVERY, help="compare every n-th family")
    parser.add_argument("--commit", action="store_true", help=f"write {PAGE.name} too")
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows = [row for family in list(families())[:: options.every] if (row := compared(family)) is not None]
    table = [["family", "ascribe", "autoLRP"], *rows, counted(rows)]
    print(aligned(table))
    took = times()
    print(aligned(took))
    if options.commit:
        names = {name: version(name).split("+")[0] for name in ("autolrp", "torch", "transformers")}
        text = WORDS.format(**names, every=options.every, limit=LIMIT, rounds=ROUNDS, families=markdown(table), times=markdown(took))
        PAGE.write_text(f"# LRP on operations: ascribe and autoLRP\n\n{text}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The pages in docs/reports that the zoo writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks.zoo.measure import Row
from benchmarks.zoo.sweep import LIMIT, Finding

GAPS = """Written by `make zoo ARGS=--commit` (`python -m benchmarks.zoo --commit`), with torch {torch} and transformers {transformers},
on random weights, scaled up so that nonlinear operations matter; nothing is downloaded. `make zoo` prints the table without
writing it, `make zoo ARGS="Llama"` a part of it.

- **change**: the least share of its score by which a record differs from the reference of zeros; a network below 1e-3 is refused, because
  its output is nearly constant.
- **DeepLIFT**: the largest gap between the sum of the values and the quantity's change, over three records against that reference, as a
  share of the change or of the sum of the absolute values, whichever is larger; aims: 1e-4 in single precision, 1e-8 in double.
- **inside double**: many models of transformers go through single precision inside, whatever the type of their weights: norms
  (`hidden.to(torch.float32)`), eager softmax (`dtype=torch.float32`), scans. What is then missing in double precision is the rounding in
  the model's own output, not in the rule: `y - y0` holds it, and no average of derivatives does. In this column those casts ask for double
  precision instead (by a function mode around the same call, the model untouched), and the gap is that of double precision.
- **CP-LRP**: the largest share of the quantity that is lost, with biases, positions and means of batch norm set to zero; aim: 1e-3.
- **AttnLRP**: the sum as a share of the quantity, the same way: what flows into the constant part of a softmax is lost by design.
- **named**: operations without a rule of their own, as reported in the checks of a result.
- **times a gradient**: how much processor time DeepLIFT, AttnLRP and CP-LRP take, in units of gradient times input with the same verb.
  These networks are so small that the overhead of recording dominates; [benchmarks.md](benchmarks.md) has one of ordinary size.
"""


def gaps(rows: Sequence[Row]) -> str:
    """The zoo's page."""
    lines = [
        "# The zoo: do rules hold on architectures as they are built?", "", GAPS.format(**versions()).rstrip(), "",
        "| network | attention | change | DeepLIFT, single | double | inside double | CP-LRP lost | AttnLRP sum | named "
        "| times a gradient |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        times = ", ".join(f"{t:.1f}" for t in r.times)
        lines.append(
            f"| {r.name} | {r.kind} | {r.moves:.2g} | {r.single:.0e} | {r.double:.0e} | {r.through:.0e} | {r.conserved:.0e} | {r.sum:.2f} "
            f"| {r.named or '-'} | {times} |"
        )
    return "\n".join(lines) + "\n"


SWEPT = """Written by `make sweep ARGS=--commit` (`python -m benchmarks.zoo sweep --commit`), with torch {torch} and transformers
{transformers}: every family that `AutoModelForCausalLM` or `AutoModelForSequenceClassification` knows, from its own default
configuration with the sizes turned down (`benchmarks/zoo/tiny.py`), random weights, biases and position embeddings set to zero,
nine words. CP-LRP at the embeddings for the largest score.

- **conserved**: relevance adds up to the score within {limit:g}.
- **named**: it does not, and the checks of the result report it, by operation or by sum.
- **silent**: it does not, and no check reports it. There must be none.
- **dead**: other words change no score by 1e-3 of the largest, so that sums mean nothing. There must be none.
- **unbuilt**: the small configuration does not make a model that runs, a matter of configuration, not of the rule.
"""


def swept(found: Sequence[Finding]) -> str:
    """The sweep's page."""
    counts = Counter(f.state for f in found)
    built = sum(n for state, n in counts.items() if state != "unbuilt")
    came = ", ".join(f"{state}: {n}" for state, n in sorted(counts.items()) if state != "unbuilt")
    lines = [
        "# The sweep: CP-LRP on every family of transformers", "", SWEPT.format(limit=LIMIT, **versions()).rstrip(), "",
        f"{built} families were built, {counts['unbuilt']} not. {came}.",
        "", "| family | role | what came of it | lost | said |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for f in found:
        lost = "" if f.lost != f.lost else f"{f.lost:.0e}"
        lines.append(f"| {f.family.kind} | {f.family.role} | {f.state} | {lost} | {f.said.replace('|', '/')[:160]} |")
    return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    return {name: version(name).split("+")[0] for name in ("torch", "transformers")}

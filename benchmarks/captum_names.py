"""``python -m benchmarks.captum_names``: every public name of captum that ascribe has, as same, fixed or faster, with the ratio of times.

``--commit`` writes docs/reports/captum-names.md.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.same_call import HOMES, Same, same_calls
from benchmarks.timing import Effort, Spread, Watch

ROOT = Path(__file__).parents[1]
FASTER = 1.05
COMPLETE = "any operation, softmax, pools"
FIXED = {
    "IntegratedGradients": "trapezoid weights",
    "LayerIntegratedGradients": "trapezoid weights",
    "NeuronIntegratedGradients": "trapezoid weights",
    "InternalInfluence": "trapezoid weights, several uses of a layer",
    "LayerConductance": "the ends of the path",
    "NeuronConductance": "trapezoid weights, several neurons",
    **dict.fromkeys(("DeepLift", "DeepLiftShap", "LayerDeepLiftShap", "NeuronDeepLift", "NeuronDeepLiftShap"), COMPLETE),
    "LayerDeepLift": "any operation, the input of a ReLU",
    **dict.fromkeys(("GuidedBackprop", "Deconvolution", "NeuronGuidedBackprop", "NeuronDeconvolution"), "ReLU in every spelling"),
    "GuidedGradCam": "ReLU in every spelling, nothing to interpolate",
    "LRP": "functional sums, any layer, rules that stay",
    "LayerLRP": "functional sums, any layer, rules that stay",
    **dict.fromkeys(("GradientShap", "LayerGradientShap", "NeuronGradientShap"), "rows of several inputs together"),
    "NoiseTunnel": "baselines of several inputs together, whole numbers as deviations",
    **dict.fromkeys(("FeatureAblation", "FeaturePermutation"), "masks with fewer axes, masks for some inputs"),
    **dict.fromkeys(("ShapleyValueSampling", "ShapleyValues", "KernelShap", "Lime"), "masks for some inputs, double precision"),
    "LayerActivation": "several uses of a layer",
    "LayerGradientXActivation": "several uses of a layer, tensors left as they were",
    "Saliency": "tensors left as they were after an error",
    "DataLoaderAttribution": "batches that are tensors",
    "ClassSummarizer": "tensors of labels",
    "visualization": "series with a current matplotlib",
}
"""Silent or loud faults of captum that are fixed: each has a test in tests/compat/test_compat_captum_*.py."""

INTRO = """Written by `python -m benchmarks.captum_names --commit`. *Same*: captum's numbers in captum's form. *Fixed*: those, but for
what the last column says. *Faster*: the same call takes at most 1 / 1.05 of the time on all models; *slower*: more time on all, or on some.
Ratios are captum's time over ascribe's, medians of rounds in which both ran, with quartiles: on the convolutional network of the
[benchmarks](benchmarks.md), on a tiny BERT (4 layers of width 64) and on a small one (4 layers of width 512),
both from their embeddings on, 4 records, one thread; for captum's LRP the network's flattening is a function, for its
LayerFeaturePermutation the models give a single number. If one of them refuses the model, the reason is given.

ascribe is slower in three cases: calls of a few milliseconds on a tiny model, with the fixed overhead of the session and the checks; ReLU
rules, which record the run and propagate operation by operation; and DeepLIFT on the BERTs, where captum silently falls back to a plain
gradient, and ascribe treats every operation."""


def named() -> list[str]:
    """Every public name, the metrics last."""
    from ascribe.compat.captum import attr, metrics

    return [*attr.__all__, *metrics.__all__]


def verdict(name: str, ratios: Sequence[Spread | None]) -> str:
    """Returns the state of a name: same, fixed or faster."""
    known = [r.median for r in ratios if r is not None]
    pace = ""
    if known:
        pace = "faster" if min(known) >= FASTER else "slower" if max(known) < 1 else "slower on some" if min(known) < 1 else ""
    what = "fixed" if name in FIXED else "" if pace == "faster" else "same"
    return ", ".join(word for word in (what, pace) if word)


def table(rows: Iterable[Same]) -> list[list[str]]:
    """A line for each name."""
    found = {(row.name, row.home): row for row in rows}
    lines = [["name", "", *(f"{home}: captum/ascribe" for home in HOMES), "what was fixed"]]
    for name in named():
        here = [found.get((name, home)) for home in HOMES]
        ratios = [row.ratio if row else None for row in here]
        cells = [row.error if row and row.error else report.ratio(row.ratio if row else None) for row in here]
        lines.append([f"`{name}`", verdict(name, ratios), *cells, FIXED.get(name, "")])
    return lines


def page(rows: Iterable[Same]) -> str:
    """The page of the documentation."""
    facts = report.markdown([["what", "value"], *([name, value] for name, value in report.about().items())])
    return "\n\n".join(["# Captum's names", INTRO, facts, report.markdown(table(rows))]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; with ``--commit`` writes the page."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m benchmarks.captum_names", description=__doc__)
    parser.add_argument("--commit", action="store_true", help="write docs/reports/captum-names.md")
    parser.add_argument("--seconds", type=float, default=2.0, help="approximate time per row")
    parser.add_argument("--rounds", type=int, default=5, help="least number of rounds per row")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = list(same_calls(Effort(options.rounds, seconds=options.seconds), Watch("cpu", True), only=options.only))
    if options.commit:
        (ROOT / "docs" / "reports" / "captum-names.md").write_text(page(rows))
    sys.stdout.write(report.aligned(table(rows)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

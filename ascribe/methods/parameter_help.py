"""Descriptions of the methods' constructor parameters, each once: ``help()`` of every method shows those of its fields.

A key is a field's name, or ``Class.field`` where a field means something of its own in one class and in those that extend it.
"""

from __future__ import annotations

PARAMETERS: dict[str, str] = {
    # Gradients and paths
    "signed": "True for the gradient with its sign, False for its absolute value.",
    "baseline": "the start of the path, at the inputs: a number, an array (one record or one per record), a tuple or dict for several "
    'inputs, a name ("zeros", "mean", "blur", "uniform"), a function of the model\'s arguments, or a Call.',
    "DeepLift.baseline": "the reference at the inputs (for token ids at the embeddings), whatever ``at`` is: a number, an array, a tuple "
    "or dict for several inputs, a name, a function of the model's arguments, or a Call.",
    "background": "the background records: an array [rows, ...], a tuple or dict of arrays for several inputs, a Call, or "
    "distributions.Shuffled(...).",
    "TreeShap.background": "the background rows, an array or a table [rows, features], whose values replace removed features; "
    "None weights the branches of each split by their training records.",
    "output": 'the explained output: "margin", what the trees add up to, or "probability".',
    "interactions": "True computes values of pairs, [records, features, features]; their rows add up to the values of the features.",
    "steps": "the number of points on the path; None is 50, or at most 512 with ``tolerance``.",
    "Conductance.steps": "the number of pieces of the path.",
    "quadrature": 'the rule that places and weights the points: "gauss-legendre", "trapezoid", "riemann-left", "riemann-right", '
    '"riemann-middle", "even" or "random".',
    "tolerance": "the standard error at which sampling stops early, as a share of the quantity's change; None uses the whole budget.",
    "IntegratedGradients.tolerance": "the completeness gap up to which points are added, as a share of the quantity's change; None uses "
    "``steps`` points.",
    "samples": "the number of random draws.",
    "DeepLiftShap.samples": "the number of background rows drawn at random; None uses every row once.",
    "FeaturePermutation.samples": "the number of permutations of each feature.",
    "scale": "the standard deviation of the noise, as a share of each record's range, or in units of the input with ``relative=False``.",
    "relative": "True scales the noise with the range of each record's values.",
    "points": "the distribution of points that the values are averaged over; Point() is the record alone, Line(steps=32) a path, "
    "Gaussian(0.1, 8) noise.",
    "LayerActivation.points": "other values at another cut, asc.Points(values, at=cut), whose mean is the result; None is the records.",
    # Rules
    "by": "the replacement for removed features: a number, an array, a removal such as asc.Blur() or asc.Resample(rows); None is 0 for "
    "numeric inputs and masking for tokens with an attention mask.",
    "DeepLift.by": "the rule: rules.Rescale() or rules.RevealCancel().",
    "DeepLiftShap.by": "the rule: rules.Rescale() or rules.RevealCancel().",
    "LRP.by": "a rule for all layers (rules.Epsilon(), rules.Gamma(), ...) or a rule book (rules.EPSILON_PLUS, rules.RuleBook(...)).",
    "multiply": "True multiplies by the difference from the baseline, False returns the multipliers.",
    "combine": "a function of (multipliers, values, references), or of the first one or two, whose result replaces multipliers times "
    "differences.",
    "temperature": "the temperature of the softmax in the backward pass; 1 is the plain derivative.",
    "epsilon": "the stabiliser of the division by a layer's output.",
    # Class activation maps
    "layer": "the layer whose map is computed: a name or a Cut; None finds the last layer with spatial positions. ``at`` of the "
    "call overrides it.",
    "relu": "True sets negative values of the map to 0.",
    "grid": "the (height, width) of the tokens' grid, where their number leaves it open.",
    "prefix": "the number of tokens before the grid (class, distillation and register tokens), where their number leaves it open.",
    "ScoreCam.by": "the replacement for the image outside of a channel's mask: a number, an array or a removal.",
    # Features
    "features": "the feature groups: asc.Grid(8), asc.Superpixels(50), asc.Columns(...), an array of group numbers, ...; None chooses "
    "them by the shape of the input.",
    "size": "the size of the window along the last axes: one number for all, or one for each.",
    "stride": "the step between two windows; None is the size of the window.",
    "budget": "the largest number of forward passes; None is chosen by the number of features.",
    "lasso": "the strength of the L1 penalty; None fits without one.",
    "width": "the width of the kernel that weights coalitions by their distance from the record; None is the authors' default.",
    "cells": "the resolution at which the masks are drawn: one number for all axes, or one for each.",
    "opened": 'the group that is split next: the one with the largest value ("largest") or a random one ("random").',
}
"""The text of each parameter, as a noun phrase."""

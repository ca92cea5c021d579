"""The table of PyTorch's operations: one row per aten name, with its neutral form and what is known of it whatever its arguments.

Formulas are found by form: those of :mod:`ascribe.tape.formulas`, and PyTorch's own (:mod:`.formulas`). A form that no formula is for has
none; such an operation is treated by quadrature, and reported.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from ....tape import Operation

ROWS: dict[str, Operation] = {}


def rows(names: str, form: str = "", kind: str = "other", **columns: Any) -> None:
    """Rows for several names; without ``form`` each name is its own."""
    for name in names.split():
        ROWS[name] = Operation(form or name, kind, **columns)


# Moves: the same elements elsewhere. `moves` = unchanged, `conserves` = all of them, or each once.
EACH = {"moves": True, "conserves": True}
rows("view _unsafe_view reshape _reshape_alias", "reshape", "linear", view=True, rearranges=True, **EACH)
rows("unsqueeze squeeze", "reshape", "linear", rearranges=True, **EACH)
rows("flatten view_copy", "reshape", "linear", **EACH)
rows("transpose t permute", "permute", "linear", rearranges=True, **EACH)
rows("select slice", "getitem", "linear", rearranges=True, **EACH)
rows("expand", "expand", "linear", **EACH)
rows("split unsafe_split split_with_sizes chunk", "split", "linear", **EACH)
rows("unsafe_split_with_sizes", "split", "linear", moves=True)
rows("unsafe_chunk", "split", "linear")
rows("unbind", "unstack", "linear", **EACH)
rows("contiguous", "identity", "linear", same=True, **EACH)
rows("mark", "identity", "linear", same=True, **EACH)
rows("clone detach alias", "identity", "linear", same=True, additive=True, **EACH)
rows("lift_fresh", "identity", "linear", same=True, additive=True, moves=True)
rows("positive", "identity", "linear", additive=True, moves=True)
rows("_to_copy", "cast", "linear", additive=True, **EACH)
rows("copy", "copy", "linear", moves=True)
rows("cat", "concat", "linear", moves=True)
rows("stack", "stack", "linear", moves=True)
rows("as_strided_scatter", "as_strided_scatter", "linear", moves=True)
rows("index", "linear", "linear", **EACH)
rows(
    "as_strided constant_pad_nd index_select gather roll flip repeat tril triu diagonal movedim slice_scatter select_scatter"
    " pixel_shuffle pixel_unshuffle channel_shuffle im2col unfold upsample_nearest1d upsample_nearest2d upsample_nearest3d"
    " reflection_pad1d reflection_pad2d replication_pad2d",
    "linear",
    "linear",
    moves=True,
)
rows("masked_fill", "masked_fill", "linear", additive=True, moves=True)

# Other linear operations.
rows("add sub", "add", "linear", additive=True, smooth=True)
rows("rsub", "reverse_subtract", "linear", additive=True, smooth=True)
rows("neg", "negative", "linear", additive=True, smooth=True, conserves=True)
rows("zeros_like", "fill", "linear", additive=True)
rows("fill zero ones_like full_like new_zeros new_ones empty_like new_empty new_full rand_like randn_like", "fill", "linear")
rows("scalar_tensor new_empty_strided", "fill", "linear")
rows("sum", "sum", "average", conserves=True)
rows("mean", "mean", "average", conserves=True)
rows("avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d", "average", "average")
rows("adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool1d", "average", "average")
rows("cumsum", "cumulative_sum", "linear")
rows(
    "repeat_interleave upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_nearest_exact1d"
    " _upsample_nearest_exact2d _upsample_bilinear2d_aa diagonal_scatter diag_embed col2im native_channel_shuffle reflection_pad3d"
    " replication_pad1d replication_pad3d _fft_r2c _fft_c2r _fft_c2c view_as_complex view_as_real real imag _conj _conj_physical"
    " conj_physical rot90 index_add index_put _index_put_impl masked_scatter scatter scatter_add trace nansum as_strided_copy lift mode"
    " embedding take take_along_dim mean_dim unfold_copy resolve_conj segment_reduce _unsafe_index _unsafe_index_put slice_copy"
    " bernoulli _pack_padded_sequence affine_grid_generator",
    "linear",
    "linear",
)
rows("_convolution _grouped_mm grid_sampler_2d grid_sampler_3d", "partly_linear", "linear", linear_in=(0,))
rows("lerp", "lerp", "linear", linear_in=(0, 1))

# Products, quotients, roots of sums of squares.
rows("mul", "multiply", "product", smooth=True, from_zero=True)
rows("mm bmm", "matmul", "product")
rows("addmm baddbmm", "addmatmul", "product")
rows("mv", "matvec", "product")
rows("dot vdot ger", "bilinear", "product")
rows("addmv addcmul addr addbmm", "added_bilinear", "product")
rows("var square", "quadratic", "product")
rows("var_mean", "var_mean", "product")
rows("convolution", "convolution", "product")
rows("glu", "glu", "product")
rows("linalg_solve_triangular", "solve")
rows("div", "divide", "quotient", conserves=True, passes=(0,))
rows("addcdiv", passes=(0, 1))
rows("std", "std", "quotient")
rows("std_mean", "std_mean", "quotient")
rows("linalg_vector_norm", "norm", "quotient")

# Norms, softmax, attention in one kernel.
rows("native_layer_norm", "layer_norm", "norm", passes=(0,))
rows("_fused_rms_norm", "rms_norm", "norm", passes=(0,))
rows("native_group_norm", "group_norm", "norm", passes=(0,))
rows(
    "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm miopen_batch_norm",
    "batch_norm",
    "norm",
    passes=(0,),
)
rows("_softmax _safe_softmax", "softmax", "softmax")
rows("_log_softmax", "log_softmax", "softmax")
rows("logsumexp", "logsumexp", "softmax")
rows(
    "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention"
    " _scaled_dot_product_cudnn_attention _scaled_dot_product_fused_attention_overrideable",
    "attention",
    "softmax",
)

# Extremes, order statistics, choices.
rows(
    "max_pool1d max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d", kind="pool"
)
rows("amax max", "largest", "pool")
rows("amin min", "smallest", "pool")
rows("sort topk kthvalue median nanmedian cummax cummin aminmax", kind="choice")
rows("maximum fmax", "maximum", "choice")
rows("minimum fmin", "minimum", "choice")
rows("gt lt ge le eq ne", "compare", "choice", passes=())
rows("where", "where", "choice", passes=(1, 2))

# Element-wise functions: those tagged pointwise need no row, except for what is known of them.
rows("relu leaky_relu hardswish elu selu celu _prelu_kernel", from_zero=True)
rows("silu gelu tanh erf mish sin", from_zero=True, smooth=True)
rows("sigmoid softplus exp cos", smooth=True)
rows("log_sigmoid_forward", smooth=True, pointwise=True)
for untagged in ("_prelu_kernel", "hardswish", "leaky_relu"):
    ROWS[untagged] = replace(ROWS[untagged], pointwise=True)
rows("hardsigmoid hardtanh threshold", pointwise=True)
rows("pow", "power")


@lru_cache(None)
def operation(call: Any, name: str) -> Operation:
    """The row of an operation; PyTorch's own tag says whether it is element-wise."""
    row = ROWS.get(name) or Operation(name)
    tagged = call is not None and torch.Tag.pointwise in call.tags
    return replace(row, pointwise=True) if tagged and not row.pointwise else row

"""Operations that are linear in one value, with fixed weights: matrix products, convolutions, batch normalisation in evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field

from .tape import Entry, Tensor, Var, aten, fold

BATCH_NORMS = frozenset(
    {
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
        "cudnn_batch_norm",
        "miopen_batch_norm",
    }
)
MATRICES = frozenset({"mm", "bmm", "addmm", "baddbmm", "mv"})
WEIGHTED = MATRICES | {"convolution"}
"""Operations that are layers, where they have fixed weights."""


@dataclass(kw_only=True)
class Layer:
    """A linear operation of ``x``, giving ``out``. ``weight`` and ``bias`` are as the operation is after what stands beside it was
    merged; the bias has ones where it is broadcast. ``rest`` is what the result was added to, where that depends on the record.

    ``into`` is the operation's own input, another value than ``x`` where something before it was merged, and ``between`` the values
    from there on. ``home`` is what ``x`` is a view of, where one lies between: of rows for each record and step. ``absorbed`` collects
    the relevance that went to biases, ``records`` is how many there are.
    """

    entry: Entry
    x: Var
    out: Var
    weight: Tensor
    bias: Tensor | None = None
    rest: Var | None = None
    into: Var
    between: list[Var] = field(default_factory=list)
    home: Var | None = None
    absorbed: list[Tensor] = field(default_factory=list)
    records: int = 1

    def sent(self, t: Tensor) -> tuple[Var, Tensor]:
        """Where what comes back to ``x`` goes."""
        return (self.x, t) if self.home is None else (self.home, t.reshape(self.home.shape))

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        """The operation with other numbers, without bias."""
        raise NotImplementedError

    def transpose(self, g: Tensor, weight: Tensor) -> Tensor:
        """Its transpose."""
        raise NotImplementedError

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y = self.product(x, weight)
        return y if bias is None else y + bias

    def backward(self, p: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What comes back to ``x``; the bias takes its share as one more input, which is 1."""
        if bias is not None:
            self.absorbed.append((fold(p, bias.shape) * bias).sum() if bias.dim() == p.dim() else (p * bias).sum())
        return self.transpose(p, weight)

    def per_output(self, scale: Tensor) -> Tensor | None:
        """A factor of the result, shaped to multiply the weight; None where it is not one number for each output channel."""
        raise NotImplementedError

    def per_input(self, scale: Tensor) -> Tensor | None:
        """A factor of ``x``, likewise."""
        raise NotImplementedError


def along(scale: Tensor, axis: int, rank: int) -> Tensor | None:
    """The numbers of something broadcast that differs along one axis only (counted from the end); None for others."""
    shape = [1] * (rank - scale.dim()) + list(scale.shape)
    return None if any(n != 1 for i, n in enumerate(shape) if i != rank + axis) else scale.reshape(-1)


class Product(Layer):
    """``x @ w``: a matrix product with the weight on the right, or a batch of them; ``x @ v`` with a vector."""

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        return x @ weight

    def transpose(self, g: Tensor, weight: Tensor) -> Tensor:
        return g[..., None] * weight if weight.dim() == 1 else g @ weight.transpose(-1, -2)

    def per_output(self, scale: Tensor) -> Tensor | None:
        if self.weight.dim() == 1:
            return scale.reshape(()) if scale.numel() == 1 else None
        return along(scale, -1, len(self.out.shape))

    def per_input(self, scale: Tensor) -> Tensor | None:
        found = along(scale, -1, len(self.x.shape))
        return found if found is None or self.weight.dim() == 1 else found[:, None]


class Reversed(Layer):
    """``w @ x``: the weight on the left."""

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        return weight @ x

    def transpose(self, g: Tensor, weight: Tensor) -> Tensor:
        return weight.transpose(-1, -2) @ g

    def per_output(self, scale: Tensor) -> Tensor | None:
        found = along(scale, -2, len(self.out.shape))
        return None if found is None else found[:, None]

    def per_input(self, scale: Tensor) -> Tensor | None:
        return along(scale, -2, len(self.x.shape))


class Convolution(Layer):
    """A convolution or a transposed one, of any rank, with groups."""

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = aten.convolution(x, weight, None, *self.entry.args[3:])
        return found

    def transpose(self, g: Tensor, weight: Tensor) -> Tensor:
        back: Tensor = aten.convolution_backward(g, self.x.value, weight, None, *self.entry.args[3:], [True, False, False])[0]
        return back

    def per_output(self, scale: Tensor) -> Tensor | None:
        return self._spread(scale, len(self.out.shape), second=bool(self.entry.args[6]))

    def per_input(self, scale: Tensor) -> Tensor | None:
        return self._spread(scale, len(self.x.shape), second=not self.entry.args[6])

    def _spread(self, scale: Tensor, rank: int, second: bool) -> Tensor | None:
        """A number for each channel along the weight's first axis; on the second, each group of channels has its own part."""
        found = along(scale, 1 - rank, rank)
        if found is None or found.numel() == 1:
            return found
        shape, groups = self.weight.shape, self.entry.args[8]
        if second:
            found = found.reshape(groups, 1, shape[1]).expand(groups, shape[0] // groups, shape[1]).reshape(shape[0], shape[1])
        return found.reshape(*found.shape, *[1] * (self.weight.dim() - found.dim()))


class Diagonal(Layer):
    """A factor for each channel: batch normalisation that stands by itself."""

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        return x * weight

    def transpose(self, g: Tensor, weight: Tensor) -> Tensor:
        return g * weight

    def per_output(self, scale: Tensor) -> Tensor | None:
        return scale

    per_input = per_output


def layer_of(entry: Entry) -> Layer | None:
    """The operation as a layer; None for others, and where the weights depend on the record."""
    if entry.name == "convolution":
        return convolution_of(entry)
    if entry.name in MATRICES:
        return matrix_of(entry)
    affine = normalised(entry)
    if affine is None:
        return None
    x, out = entry.args[0], entry.out()
    return Diagonal(entry=entry, x=x, into=x, out=out, weight=affine[0], bias=affine[1])


def convolution_of(entry: Entry) -> Layer | None:
    x, weight, bias = entry.args[:3]
    if not isinstance(x, Var) or isinstance(weight, Var) or isinstance(bias, Var):
        return None
    bias = None if bias is None else bias.reshape(1, -1, *[1] * (len(x.shape) - 2))
    return Convolution(entry=entry, x=x, into=x, out=entry.out(), weight=weight, bias=bias)


def matrix_of(entry: Entry) -> Layer | None:
    """``beta c + alpha a @ b`` with one of the factors fixed."""
    adds = entry.name in ("addmm", "baddbmm")
    c, a, b = entry.args[:3] if adds else (None, *entry.args[:2])
    if isinstance(a, Var) == isinstance(b, Var):
        return None
    alpha, beta = entry.kwargs.get("alpha", 1), entry.kwargs.get("beta", 1)
    if isinstance(c, Var) and beta != 1:
        return None
    x, weight = (a, b) if isinstance(a, Var) else (b, a)
    if entry.name == "mv" and x is b:
        return None
    bias = None if c is None or isinstance(c, Var) else c * beta
    out = entry.out()
    return (Product if x is a else Reversed)(
        entry=entry,
        x=x,
        into=x,
        out=out,
        weight=weight * alpha if alpha != 1 else weight,
        bias=None if bias is None else bias.reshape([1] * (len(out.shape) - bias.dim()) + list(bias.shape)),
        rest=c if isinstance(c, Var) else None,
    )


def normalised(entry: Entry) -> tuple[Tensor, Tensor] | None:
    """Batch normalisation by stored statistics as factor and summand of each channel; None for any other operation."""
    if entry.name not in BATCH_NORMS or any(isinstance(a, Var) for a in entry.args[1:]):
        return None
    x, weight, bias, mean, variance = entry.args[:5]
    if mean is None or variance is None or (entry.name != "_native_batch_norm_legit_no_training" and entry.args[5]):
        return None
    scale = (variance + entry.args[-1]).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale
    shift = shift if bias is None else shift + bias
    shape = [1, -1] + [1] * (len(x.shape) - 2)
    return scale.to(x.dtype).reshape(shape), shift.to(x.dtype).reshape(shape)

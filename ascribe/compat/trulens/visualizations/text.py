"""Attributions of token ids as coloured text: HTML, for a notebook, or plain."""

from __future__ import annotations

import html
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ....arrays import as_numpy, is_array
from ....errors import InputError
from ..nn.attribution import AttributionMethod
from ..nn.models.base import ModelWrapper
from ..nn.slices import OutputCut


class Output(ABC):
    """A format of text: coloured pieces, one after the other."""

    @abstractmethod
    def blank(self) -> str: ...
    @abstractmethod
    def space(self) -> str: ...
    @abstractmethod
    def escape(self, s: str) -> str: ...
    @abstractmethod
    def line(self, s: str) -> str: ...
    @abstractmethod
    def magnitude_colored(self, s: str, mag: float) -> str: ...
    @abstractmethod
    def append(self, *parts: str) -> str: ...
    @abstractmethod
    def render(self, s: str) -> Any: ...

    def linebreak(self) -> str:
        """Returns the separator of two lines."""
        return "\n"


class PlainText(Output):
    """Text with the magnitude of every piece in parentheses."""

    def blank(self) -> str:
        return ""

    def space(self) -> str:
        return " "

    def escape(self, s: str) -> str:
        """Returns control characters as Python escapes."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in s)

    def line(self, s: str) -> str:
        return s

    def magnitude_colored(self, s: str, mag: float) -> str:
        return f"{s}({mag:0.3f})"

    def append(self, *parts: str) -> str:
        return "".join(parts)

    def render(self, s: str) -> Any:
        return s


class HTML(PlainText):
    """HTML: green for positive and red for negative magnitudes; 1 is the full colour."""

    def space(self) -> str:
        return "&nbsp;"

    def escape(self, s: str) -> str:
        return html.escape(s)

    def linebreak(self) -> str:
        return "<br/>"

    def line(self, s: str) -> str:
        return f"<span style='padding: 2px; margin: 2px; background: #444; border-radius: 4px;'>{s}</span>"

    def magnitude_colored(self, s: str, mag: float) -> str:
        weak = round(255 * (1 - min(abs(mag), 1.0)))
        colour = f"{weak}, 255, {weak}" if mag > 0 else f"255, {weak}, {weak}"
        style = f"margin: 1px; padding: 1px; border-radius: 4px; background: black; color: rgb({colour});"
        return f"<span title='{mag:0.3f}' style='{style}'>{s}</span>"


class Page(str):
    """HTML that a notebook shows."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


class IPython(HTML):
    """HTML shown in a notebook."""

    def render(self, s: str) -> Any:
        return Page(s)


class NLP:
    """Draws texts with their tokens coloured by attribution, after the predicted label.

    ``tokenize`` returns the model's arguments (ModelInputs) for texts. ``decode`` returns the word of a token id. ``input_accessor``
    selects the ids from the arguments, ``output_accessor`` the scores from the output. ``attr_aggregate`` reduces a token's attributions
    to one number (default: sum). Tokens in ``hidden_tokens`` are left out. Colours are scaled to the largest value of all texts.
    """

    def __init__(
        self,
        wrapper: ModelWrapper,
        output: Output | None = None,
        labels: Sequence[str] | None = None,
        tokenize: Callable[[Any], Any] | None = None,
        decode: Callable[[Any], str] | None = None,
        input_accessor: Callable[[Any], Any] | None = None,
        output_accessor: Callable[[Any], Any] | None = None,
        attr_aggregate: Callable[[Any], Any] | None = None,
        hidden_tokens: Iterable[int] = (),
    ) -> None:
        self.wrapper, self.labels, self.tokenize, self.decode = wrapper, labels, tokenize, decode
        self.input_accessor, self.output_accessor = input_accessor, output_accessor
        self.attr_aggregate = attr_aggregate or np.sum
        self.output = output if output is not None else IPython() if runs_in_notebook() else PlainText()
        self.hidden_tokens = frozenset(hidden_tokens)

    def token_attribution(self, texts: Iterable[str], attr: AttributionMethod) -> Any:
        """Returns the rendered texts. Raises InputError (a ValueError) if ids or scores are not found."""
        if self.tokenize is None:
            advice = "NLP(wrapper, tokenize=...), a function of texts that returns ModelInputs"
            raise InputError("Texts need a tokenizer", found="tokenize=None", advice=advice)
        inputs = self.tokenize(texts)
        ids = as_table(
            inputs if self.input_accessor is None else self.input_accessor(inputs), "input_accessor=, a function that finds the ids"
        )
        outputs = OutputCut(accessor=self.output_accessor or (lambda whole: whole))
        found = self.wrapper.fprop(inputs.args, inputs.kwargs, to_cut=outputs)
        scores = as_table(found, "output_accessor=, a function that finds the scores", ids.shape[:1])
        sizes = as_table(
            inputs.call_on(attr.attributions), "a method for one quantity, where each token has a place", ids.shape, deeper=True
        )
        numbers = [[float(self.attr_aggregate(a)) for a in row] for row in sizes]
        largest = max((abs(m) for row in numbers for m in row), default=0.0) or 1.0
        lines = [self._line(i, s, [m / largest for m in row]) for i, s, row in zip(ids, scores, numbers, strict=True)]
        ends = [self.output.append(self.output.line(line), self.output.linebreak(), self.output.linebreak()) for line in lines]
        return self.output.render(self.output.append(self.output.blank(), *ends))

    def _line(self, ids: np.ndarray, scores: np.ndarray, sizes: Sequence[float]) -> str:
        """Returns one text: the predicted label and its words."""
        out = self.output
        text = out.append(out.escape(self._label(int(scores.argmax()))), ":", out.space())
        for token, size in zip(map(int, ids), sizes, strict=True):
            if token in self.hidden_tokens:
                continue
            word = str(token) if self.decode is None else self.decode(token)
            if word.startswith(" "):
                word, text = word[1:], out.append(text, out.space())
            text = out.append(text, out.magnitude_colored(out.escape(word), size))
        return text

    def _label(self, best: int) -> str:
        try:
            return str(best if self.labels is None else self.labels[best])
        except LookupError as error:
            there = f"{len(self.labels or ())} labels"
            raise InputError(f"There is no label for class {best}", found=there, advice="one label for each class") from error


def as_table(value: Any, wanted: str, shape: tuple[int, ...] = (), deeper: bool = False) -> np.ndarray:
    """Returns a value with one row for each text as NumPy: two axes, or more with ``deeper``, starting with ``shape``.

    Raises InputError for anything else.
    """
    if not is_array(value) and (not isinstance(value, (list, tuple)) or any(map(is_array, value))):
        raise InputError("There must be one row for each text", found=f"a {type(value).__name__}", advice=wanted)
    found = as_numpy(value)
    if found.ndim < 2 or (found.ndim > 2 and not deeper) or found.shape[: len(shape)] != shape:
        rows = " x ".join(map(str, shape))
        what = f"Texts and tokens need an array of {rows}" if rows else "Texts need an array of two axes"
        raise InputError(what, found=f"an array of shape {found.shape}", advice=wanted)
    return found


def runs_in_notebook() -> bool:
    """Returns True inside IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return shell is not None and shell() is not None

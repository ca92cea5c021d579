"""Figures of texts: words on their colours, and a matrix of output tokens by tokens of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import as_numpy
from ..display.words import Word, decode_tokens, find_style, merge_tokens, readable
from ..errors import ResultError
from ..result.rows import axis_labels
from ..result.summary import describe_record, method_expression, name_ends
from ..result.text import read_text
from ..utils.entry import check_arguments
from ..utils.escape import escape_control
from .look import Look, Sign
from .needs import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..result.attribution import Attribution

MOST_RECORDS = 8
"""The maximum number of records of a figure, if they are not selected."""


@check_arguments
def text(
    a: Attribution,
    ax: Axes | None = None,
    *,
    records: Sequence[int] | None = None,
    tokens: Sequence[object] | None = None,
    merge: bool = True,
    words: int = 150,
    cmap: Any = None,
    sign: Sign = "all",
    percentile: float = 100.0,
    alpha: float = 1.0,
    title: str | None = None,
) -> Figure:
    """Returns the figure of texts: words as running text, each on the colour of its value, records one below another.

    >>> a = asc.Attribution(np.array([[0.0, 0.7, 0.2, -0.1]])).with_names(tokens=[["[CLS]", "good", "film", "##s"]])
    >>> figure = asc.plots.text(a)        # "good films"

    *Use it when* the positions of the values are tokens: ``a.with_names(tokens=encoding)``.

    ``merge`` draws words, with the sum of the values of their tokens; False draws tokens. Padding is left out, special tokens are grey.
    ``words`` is the maximum for each record: longer texts are shortened to the passages around the strongest words. All records have the
    same colours. ``percentile`` of the absolute values has full colour. Fonts of matplotlib may lack letters of Arabic, Chinese or emoji,
    and versions before 3.11
    do not join Arabic letters; notebooks and reports show them as the browser does.

    Raises ResultError if matplotlib is not installed, and for values that are not ``[records, tokens]``.
    """
    arrays = a.arrays()
    if a.quantities is not None:
        raise ResultError(
            "A text shows one quantity", found=f"{a.quantities} quantities", advice="a.quantity_at(0), or plots.token_matrix(a)"
        )
    if len(arrays) != 1:
        raise ResultError("A text shows one array", found=f"{len(arrays)} arrays", advice="a.part(...)")
    chosen = list(range(min(len(a), MOST_RECORDS))) if records is None else [int(i) for i in records]
    if any(not -len(a) <= i < len(a) for i in chosen) or not chosen:
        raise ResultError("`records=` is out of range", found=f"records={records!r:.80}, {len(a)} records", advice="records=[0]")
    with require_matplotlib():
        from . import draw_text
    paragraphs = []
    for i in (i % len(a) for i in chosen):
        about = describe_record(a, i)
        read = read_text(a, i, tokens, merge=merge)
        paragraphs.append(draw_text.Paragraph(read, escape_control(f"record {i}" + (f": {about}" if about else ""))))
    heading = method_expression(a.method) if title is None else title
    page = draw_text.Page(tuple(paragraphs), Look(cmap, sign, percentile, alpha), name_ends(a), escape_control(heading), words)
    return draw_text.draw_page(ax, page)


@check_arguments
def token_matrix(
    a: Attribution,
    ax: Axes | None = None,
    *,
    rows: Sequence[object] | None = None,
    record: int = 0,
    merge: bool = True,
    cmap: Any = None,
    sign: Sign = "all",
    percentile: float = 100.0,
    alpha: float = 1.0,
    title: str | None = None,
) -> Figure:
    """Returns the figure of a generated text: a row for each output token, a column for each word of the prompt.

    >>> a = asc.Attribution(np.eye(3, 4)[:, None], explained=np.ones((3, 1))).with_names(tokens=[["How", "is", "it", "?"]])
    >>> figure = asc.plots.token_matrix(a, rows=["It", "is", "raining"])

    *Use it when* one call explained several quantities, one for each output token: values ``[outputs, records, tokens]``.

    ``rows`` are the output tokens. ``merge`` sums the columns of tokens that are a word. Where columns do not fit, those with the largest
    absolute values are drawn, in the order of the text.

    Raises ResultError if matplotlib is not installed, for a single quantity, and for names that do not fit.
    """
    arrays = a.arrays()
    if a.quantities is None or len(arrays) != 1 or len(arrays[0][1].shape) not in (3, 4):
        there = f"{a.quantities} quantities, {', '.join(str(list(array.shape)) for _, array in arrays)}"
        problem = "A matrix of tokens needs values [outputs, records, tokens]"
        raise ResultError(problem, found=there, advice="of=[...] with a quantity for each output token")
    if not -len(a) <= record < len(a):
        raise ResultError(f"Record {record} is out of range", found=f"{len(a)} records", advice="record=0")
    values = as_numpy(arrays[0][1][:, record % len(a)]).astype(np.float64)
    values = values.sum(-1) if values.ndim == 3 else values
    columns = prompt_words(a, record % len(a), values.shape[1], merge)
    table = np.stack([values[:, list(word.tokens)].sum(1) for word in columns], 1)
    names = output_names(rows, len(table))
    with require_matplotlib():
        from . import draw_text
    heading = escape_control(method_expression(a.method) if title is None else title)
    labels = [word.text for word in columns]
    return draw_text.draw_matrix(ax, draw_text.Matrix(table, names, labels, Look(cmap, sign, percentile, alpha), heading))


def prompt_words(a: Attribution, record: int, count: int, merge: bool) -> list[Word]:
    """Returns the words of a prompt of ``count`` tokens, without padding."""
    labels = axis_labels(a, 1, record, count)
    known = next((one for one in a.axes if one.axis == 1 and one.kind == "token"), None)
    if labels is None or known is None:
        return [Word(f"token {k}", 0.0, (k,)) for k in range(count)]
    tokens = [*known.of_record(record), *[""] * (count - len(known.of_record(record)))]
    words = merge_tokens(tokens, np.zeros(count), known.words_of(record), merge=merge)
    return [word for word in words if word.kind != "padding"]


def output_names(rows: Sequence[object] | None, count: int) -> list[str]:
    """Returns the names of output tokens as text. Raises ResultError if their number does not fit."""
    if rows is None:
        return [f"output {k}" for k in range(count)]
    names = list(map(str, rows))
    if len(names) != count:
        raise ResultError(f"There are {len(names)} names for {count} rows", found=f"{len(names)} names", advice=f"rows= with {count} names")
    style = find_style(names)
    decoded = [decode_tokens([name], style).strip() for name in names]
    return [readable(text if text and "\ufffd" not in text else name) for text, name in zip(decoded, names, strict=True)]

"""Words coloured by their values, as an HTML table. Tokens are escaped, never markup."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ...errors import ResultError
from .translate.errors import raise_as_captum


@dataclass
class VisualizationDataRecord:
    """One row of the table: words and their values, the prediction, the convergence score."""

    word_attributions: Any
    pred_prob: float
    pred_class: Any
    true_class: Any
    attr_class: Any
    attr_score: float
    raw_input_ids: Sequence[str]
    convergence_score: float


@dataclass(frozen=True)
class HtmlPage:
    """HTML that notebooks show."""

    data: str

    def _repr_html_(self) -> str:
        return self.data


def format_colour(value: float) -> str:
    """Returns white for 0, deeper green for larger positive and deeper red for larger negative values."""
    value = max(-1.0, min(1.0, value))
    return f"hsl({120 if value > 0 else 0}, 75%, {100 - int(abs(value) * (50 if value > 0 else 40))}%)"


def format_classname(classname: Any) -> str:
    """Returns a table cell with a class name."""
    return f'<td><text style="padding-right:2em"><b>{escape(str(classname))}</b></text></td>'


def format_special_tokens(token: str) -> str:
    """Returns ``<pad>`` as ``#pad``."""
    return f"#{token.strip('<>')}" if token.startswith("<") and token.endswith(">") else token


def format_tooltip(item: str, text: str) -> str:
    """Returns an item with a tooltip."""
    return f'<div class="tooltip">{escape(item)}<span class="tooltiptext">{escape(text)}</span></div>'


def format_word_importances(words: Sequence[str], importances: Any) -> str:
    """Returns a table cell with words on the colours of their values. Raises ResultError for more words than values."""
    if importances is None or not len(importances):
        return "<td></td>"
    if len(words) > len(importances):
        with raise_as_captum():
            there = f"{len(words)} words, {len(importances)} importances"
            raise ResultError("There are more words than importances", found=there, advice="one number for each word")
    marks = [
        f'<mark style="background-color: {format_colour(float(value))}; opacity:1.0; line-height:1.75">'
        f'<font color="black"> {escape(format_special_tokens(word))} </font></mark>'
        for word, value in zip(words, importances, strict=False)
    ]
    return f"<td>{''.join(marks)}</td>"


COLUMNS = ("True Label", "Predicted Label", "Attribution Label", "Attribution Score", "Word Importance")


def visualize_text(datarecords: Iterable[VisualizationDataRecord], legend: bool = True) -> Any:
    """Shows a table with a row for each record, in a notebook if there is one. Returns the page; ``.data`` is its HTML."""
    rows = [f"<tr>{''.join(f'<th>{name}</th>' for name in COLUMNS)}</tr>"]
    for r in datarecords:
        predicted = f"{r.pred_class} ({r.pred_prob:.2f})"
        cells = [format_classname(text) for text in (r.true_class, predicted, r.attr_class, f"{r.attr_score:.2f}")]
        rows.append(f"<tr>{''.join(cells)}{format_word_importances(r.raw_input_ids, r.word_attributions)}</tr>")
    key = "".join(
        f'<span style="display:inline-block;width:10px;height:10px;border:1px solid;background-color:{format_colour(v)}"></span> {word} '
        for v, word in ((-1.0, "Negative"), (0.0, "Neutral"), (1.0, "Positive"))
    )
    head = f'<div style="border-top: 1px solid; margin-top: 5px; padding-top: 5px; display: inline-block"><b>Legend: </b>{key}</div>'
    html = f'{head if legend else ""}<table width="100%">{"".join(rows)}</table>'
    notebook = sys.modules.get("IPython.display")  # loaded only inside a notebook
    page = HtmlPage(html) if notebook is None else notebook.HTML(html)
    if notebook is not None:
        notebook.display(page)
    return page

"""Words coloured by what they add, as HTML. Whatever a token says is text, never markup."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ...errors import ResultError
from .errors import also_theirs


@dataclass
class VisualizationDataRecord:
    """What is shown of one record: its words and what they add, the prediction, and how the values add up."""

    word_attributions: Any
    pred_prob: float
    pred_class: Any
    true_class: Any
    attr_class: Any
    attr_score: float
    raw_input_ids: Sequence[str]
    convergence_score: float


@dataclass(frozen=True)
class Page:
    """HTML that notebooks show."""

    data: str

    def _repr_html_(self) -> str:
        return self.data


def colour(value: float) -> str:
    """White for nothing, deeper green for what speaks for the class, deeper red for what speaks against it."""
    value = max(-1.0, min(1.0, value))
    return f"hsl({120 if value > 0 else 0}, 75%, {100 - int(abs(value) * (50 if value > 0 else 40))}%)"


def format_classname(classname: Any) -> str:
    """A class in a cell of the table."""
    return f'<td><text style="padding-right:2em"><b>{escape(str(classname))}</b></text></td>'


def format_special_tokens(token: str) -> str:
    """``<pad>`` as ``#pad``."""
    return f"#{token.strip('<>')}" if token.startswith("<") and token.endswith(">") else token


def format_tooltip(item: str, text: str) -> str:
    """An item with a text that shows when the pointer is on it."""
    return f'<div class="tooltip">{escape(item)}<span class="tooltiptext">{escape(text)}</span></div>'


def format_word_importances(words: Sequence[str], importances: Any) -> str:
    """Words in a cell of the table, each on the colour of its number. Raises ResultError for more words than numbers."""
    if importances is None or not len(importances):
        return "<td></td>"
    if len(words) > len(importances):
        with also_theirs():
            raise ResultError(f"{len(words)} words", there=f"{len(importances)} importances", try_="a number for each word")
    marks = [
        f'<mark style="background-color: {colour(float(value))}; opacity:1.0; line-height:1.75">'
        f'<font color="black"> {escape(format_special_tokens(word))} </font></mark>'
        for word, value in zip(words, importances, strict=False)
    ]
    return f"<td>{''.join(marks)}</td>"


COLUMNS = ("True Label", "Predicted Label", "Attribution Label", "Attribution Score", "Word Importance")


def visualize_text(datarecords: Iterable[VisualizationDataRecord], legend: bool = True) -> Any:
    """A table with a row for each record, shown where there is a notebook to show it in. Returns the page; ``.data`` is its HTML."""
    rows = [f"<tr>{''.join(f'<th>{name}</th>' for name in COLUMNS)}</tr>"]
    for r in datarecords:
        predicted = f"{r.pred_class} ({r.pred_prob:.2f})"
        cells = [format_classname(text) for text in (r.true_class, predicted, r.attr_class, f"{r.attr_score:.2f}")]
        rows.append(f"<tr>{''.join(cells)}{format_word_importances(r.raw_input_ids, r.word_attributions)}</tr>")
    key = "".join(
        f'<span style="display:inline-block;width:10px;height:10px;border:1px solid;background-color:{colour(v)}"></span> {word} '
        for v, word in ((-1.0, "Negative"), (0.0, "Neutral"), (1.0, "Positive"))
    )
    head = f'<div style="border-top: 1px solid; margin-top: 5px; padding-top: 5px; display: inline-block"><b>Legend: </b>{key}</div>'
    html = f'{head if legend else ""}<table width="100%">{"".join(rows)}</table>'
    notebook = sys.modules.get("IPython.display")  # where nobody has loaded it there is no notebook to show anything in
    page = Page(html) if notebook is None else notebook.HTML(html)
    if notebook is not None:
        notebook.display(page)
    return page

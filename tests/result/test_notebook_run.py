"""A real notebook: executed by a kernel, converted to HTML, opened in a browser without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
nbconvert = pytest.importorskip("nbconvert")
pytest.importorskip("ipykernel")

CHROMIUM = Path("/usr/bin/chromium")
SETUP = """
import numpy as np
import torch
from torch import nn

import ascribe as asc

torch.manual_seed(0)
cnn = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3)).eval()
images = torch.rand(2, 3, 16, 16)
mlp = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).eval()
rows = torch.rand(16, 4)
names = ["age", "<img src=x onerror=alert(1)>", "bmi", "dose"]
"""
SHOWN = {
    "image": "asc.IntegratedGradients(steps=8)(cnn, images)",
    "table": "asc.IntegratedGradients(steps=8)(mlp, rows, of=1).with_names(features=names)",
    "text": "asc.Attribution(values=np.array([[0.5, -1.0, 0.2]])).with_names(tokens=[['good', '</bdi>bad', '\\u202efilm']])",
    "series": "asc.Attribution(values=np.zeros((1, 2, 40)), record=np.ones((1, 2, 40))).with_names(channels=['left', 'right'])",
    "rules": "asc.explain_rules(mlp, rows, by=asc.rules.Epsilon())",
    "comparison": "asc.compare(mlp, rows, methods=[asc.Saliency(), asc.InputXGradient()], metrics=asc.metrics.Sparseness(), of=1)",
    "figure": "asc.plots.importance(asc.IntegratedGradients(steps=8)(mlp, rows, of=1).with_names(features=names))",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook as a page; every cell ran without an error."""
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, *SHOWN.values())]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    body, _ = nbconvert.HTMLExporter(template_name="basic").from_notebook_node(notebook)
    path = tmp_path_factory.mktemp("notebook") / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><title>notebook</title><body>{body}", encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_a_browser_shows_every_result_and_complains_of_nothing(page: Path, width: int, scheme: str) -> None:
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    trouble: list[str] = []
    with api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        context = browser.new_context(offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab: Any = context.new_page()
        tab.on("console", lambda message: trouble.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else trouble.append(request.url))
        tab.goto(page.as_uri())
        text = tab.locator("body").inner_text()
        images = tab.locator("img").evaluate_all("all => all.map((one) => [one.naturalWidth, one.src.slice(0, 5)])")
        browser.close()
    assert trouble == []
    for word in ("age", "bmi", "good", "left", "Saliency", "Sparseness", "<img src=x onerror=alert(1)>", "</bdi>bad"):
        assert word in text, word
    assert len(images) >= 4
    assert all(size > 0 and source == "data:" for size, source in images)

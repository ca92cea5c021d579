"""Sphinx settings of the documentation site, which ``make docs-site`` builds."""

from __future__ import annotations

from typing import Any

from tools import site_pages

project, author, copyright = "ascribe", "the authors of ascribe", "the authors of ascribe"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["decisions/*", "conf.py"]
myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "ascribe"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"footer_icons": [], "navigation_with_keys": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
nitpicky = False
suppress_warnings = ["ref.python", "toc.not_included"]


def setup(app: Any) -> None:
    """Connects what the generated pages need."""
    app.connect("autodoc-process-docstring", site_pages.mark_up_docstring)
    app.connect("autodoc-process-signature", site_pages.sign_class)
    app.connect("source-read", site_pages.point_links_inside)
    app.connect("build-finished", site_pages.write_llms)

"""How the documentation becomes a site: `make docs` writes it to docs/_build, with every warning an error."""

from importlib.metadata import version as version_of

project = "Sigra"
author = "The Sigra developers"
release = version = version_of("sigra")
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_llms_txt"]
exclude_patterns = ["_build", "examples"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Sigra"
html_static_path = ["_static"]
html_theme_options = {"navigation_with_keys": True}
html_show_copyright = False

# Our docstrings quote code as Markdown does.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"ASGIApp": "ASGIApp", "BaseRoute": "BaseRoute"}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_google_docstring = True

# Names of other projects lead nowhere: a build asks the network for nothing.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r".*")]

llms_txt_title = "Sigra"

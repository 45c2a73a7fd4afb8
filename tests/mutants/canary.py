"""A mutated source must still be alive: what is red because nothing starts any more proves nothing about a rule."""

from __future__ import annotations

from pathlib import Path

import sigra

ROOT = Path(__file__).resolve().parent.parent.parent

assert Path(sigra.__file__).is_relative_to(ROOT), f"{sigra.__file__} is not the source under test"

"""Write what the pages of docs/ have from the code: settings, commands, hooks, errors, events, routes, presets.

Run it after a change of one of these: `.venv/bin/python -m tools.document`.
"""

from __future__ import annotations

from tools import (
    document_commands,
    document_errors,
    document_events,
    document_hooks,
    document_http,
    document_presets,
    document_settings,
    draw_hooks,
)

REFERENCES = (
    document_settings,
    document_commands,
    document_hooks,
    draw_hooks,
    document_errors,
    document_events,
    document_http,
    document_presets,
)


def main() -> None:
    for reference in REFERENCES:
        reference.PAGE.write_text(reference.rendered(reference.PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()

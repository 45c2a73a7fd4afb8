"""Draws docs/_static/hooks.svg: the hooks in the order in which they are asked, in four lanes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from tools.marked import DOCS

PAGE = DOCS / "_static" / "hooks.svg"

LANES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        # A name with an underscore is a hook, a text is what happens then, dashes are the ends of a transaction.
        "While it is built": (
            "register_tables",
            "register_routes",
            "register_templates",
            "register_middleware",
            "the application starts",
            "register_resources",
            "register_limits",
            "register_jobs",
            "on the command line",
            "register_commands",
        ),
        "On each request": (
            "who asks",
            "identity_from_authorization",
            "identity_from_cookie",
            "scopes_for_identity",
            "a callback goes on as a session",
            "identity_of_session",
            "may it go on",
            "check_request",
            "a route, or the application",
            "parts_for_page",
            "render_page",
            "something was refused",
            "render_error",
            "the answer leaves",
            "before_response",
            "after the answer",
            "handle_event",
        ),
        "On the way to a credential": (
            "before the proof is looked at",
            "subject_for_attempt",
            "before_attempt",
            "a password beside another proof",
            "prove_password",
            "the proof is right",
            "-- transaction begins",
            "before_action",
            "challenges_for_login",
            "waivers_for_login",
            "is_unfamiliar",
            "issue_credential",
            "cookies_for_login",
            "record_event",
            "-- transaction ends",
            "an address is proven",
            "next_for_proof",
            "account_for_address",
            "a new password",
            "check_password",
            "renew_session",
            "an authenticator comes or goes",
            "authenticators_for_user",
            "authenticator_added",
            "an end: one session, or all",
            "revoke_session",
            "revoke_credentials",
            "forget_authenticators",
            "forget_factors",
        ),
        "Later": (
            "a mail was asked for",
            "-- transaction begins",
            "answer_mail_request",
            "address_to_prove",
            "-- transaction ends",
            "a mail is delivered",
            "send_message",
            "a user wants what is held",
            "export_user",
            "a user leaves",
            "-- transaction begins",
            "erase_user",
            "-- transaction ends",
            "an old backup was restored",
            "-- transaction begins",
            "end_restored",
            "-- transaction ends",
        ),
    }
)
LEFT, WIDTH, LANE = 24, 252, 300
STEP = 36
STYLE = """\
    .paper { fill: #fbfbfd; stroke: #d6d9e0 }
    text { font-family: system-ui, sans-serif; font-size: 13px; fill: #5a6272 }
    .head { font-size: 16px; font-weight: 600; fill: #1f2430 }
    .name { font-family: ui-monospace, monospace; fill: #1f2430 }
    .end { font-size: 11px; text-anchor: end }
    .hook { fill: #e9edfb; stroke: #5b74d6 }
    .line { stroke: #5a6272; stroke-dasharray: 4 4 }
"""


def rendered(_: str) -> str:
    """The drawing."""
    height = 64 + STEP * max(map(len, LANES.values()))
    width = LANE * len(LANES)
    shapes = "\n".join(f"  {shape}" for place, lane in enumerate(LANES.items()) for shape in drawn(place, *lane))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">\n'
        f'  <title id="title">The hooks in the order in which they are asked</title>\n  <style>\n{STYLE}  </style>\n'
        f'  <rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" class="paper"/>\n{shapes}\n</svg>\n'
    )


def drawn(place: int, head: str, steps: Sequence[str]) -> Iterator[str]:
    """The shapes of a lane."""
    x = LEFT + LANE * place
    yield f'<text x="{x}" y="38" class="head">{head}</text>'
    for number, step in enumerate(steps):
        y = 56 + STEP * number
        if step.startswith("--"):
            yield f'<path d="M{x} {y + 14}H{x + WIDTH}" class="line"/>'
            yield f'<text x="{x + WIDTH}" y="{y + 9}" class="end">{step[3:]}</text>'
        elif "_" in step:
            yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="28" rx="5" class="hook"/>'
            yield f'<text x="{x + 12}" y="{y + 19}" class="name">{step}</text>'
        else:
            yield f'<text x="{x}" y="{y + 22}">{step}</text>'

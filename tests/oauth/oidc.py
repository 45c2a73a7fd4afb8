"""npm's `oidc-provider` as a provider of its own, for as long as who asked for it lives."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("oidc_provider.mjs")
NODE = Path(__file__).parents[2] / ".node"
PATIENCE = 20.0

ACCOUNTS: Mapping[str, Mapping[str, Any]] = {
    "ada": {"email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"},
    "eve": {"email": "ada@example.com", "email_verified": False, "name": "Eve"},
    "nobody": {"name": "Nobody"},
}
"""By what is typed as the login there, which is the subject too; any other login has a verified address of its own."""


@dataclass(frozen=True)
class OIDC:
    """One that serves.

    Args:
        callback: Ours, which its client has registered.
    """

    issuer: str
    callback: str
    client_id: str = "sigra"
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def options(self, **more: Any) -> dict[str, Any]:
        """What the section `oauth` says of it."""
        return {"issuer": self.issuer, "client_id": self.client_id, "client_secret": self.client_secret, **more}


@contextmanager
def running(app: str, name: str = "oidc", *, back: str | None = None, **more: Any) -> Iterator[OIDC]:
    """Serve it to the application at that URL, whose routes are below `/auth`.

    Args:
        app: The application's `base_url`.
        name: What the application calls it.
        back: Where a browser may be sent after a sign-out; the application's sign-in page when omitted.
        more: `lifetime` of access tokens in seconds, `accounts` in place of `ACCOUNTS`.
    """
    node = shutil.which("node")
    assert node, "node is not installed; `make test` as root installs it"
    assert (NODE / "node_modules" / "oidc-provider").is_dir(), "run tools/programs.py: it installs what node needs"
    below = f"{app}/auth/oauth/{name}"
    known = OIDC("", f"{below}/callback")
    told = {
        "node": str(NODE),
        "callbacks": [known.callback],
        "backchannel": f"{below}/backchannel-logout",
        "back": [back or f"{app}/auth/login"],
        "clientId": known.client_id,
        "clientSecret": known.client_secret,
        "accounts": ACCOUNTS,
        **more,
    }
    pipe = subprocess.PIPE
    # Its warnings that it is not fit for the world are not ours to print; its errors are.
    command = [node, "--no-warnings", str(PROGRAM), json.dumps(told)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            issuer = json.loads(process.stdout.readline() or "{}").get("issuer")
            assert issuer, "oidc-provider did not start, see above"
            yield OIDC(issuer, known.callback, known.client_id, known.client_secret)
        finally:
            process.stdin.close()
            process.wait(PATIENCE)

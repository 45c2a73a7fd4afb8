"""What the demo keeps between two runs: its database, and beside it the secrets that go with it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Secrets:
    """The key of the key ring, the demo user's password, and an API key of theirs."""

    secret_key: str = field(repr=False)
    password: str = field(repr=False)
    api_key: str = field(repr=False)


class Folder:
    """A folder of the owner's alone, which git leaves out.

    Raises:
        OSError: It cannot be made or used.
    """

    def __init__(self, path: Path) -> None:
        self.database = path / "demo.db"
        self._secrets = path / "secrets.json"
        path.mkdir(mode=0o700, exist_ok=True)
        (path / ".gitignore").write_text("*\n")

    def secrets(self) -> Secrets | None:
        """The secrets that go with the database; None, and no database, when one is there without the other."""
        try:
            if self.database.exists():
                return Secrets(**json.loads(self._secrets.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            pass  # a first run that was cut off
        for file in self.database.parent.glob(f"{self.database.name}*"):
            file.unlink()
        return None

    def keep(self, secrets: Secrets) -> None:
        """Write the secrets, whole or not at all."""
        draft = self._secrets.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(secrets), file)
        draft.replace(self._secrets)

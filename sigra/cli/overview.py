"""What commands the core has: told without importing them."""

from collections.abc import Mapping
from types import MappingProxyType

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "attack": ("sigra.cli.attack:attack", "Attack a deployment of yours, and say what held."),
        "calibrate": ("sigra.cli.calibrate:calibrate", "Find what a password hash should cost on this machine."),
        "db": ("sigra.cli.database:db", "Upgrade and check the database."),
        "demo": ("sigra.cli.demo.command:demo", "Serve a small application to try Sigra with."),
        "doctor": (
            "sigra.cli.doctor.command:doctor",
            "List what is unsafe, missing or old, each with its cure.",
        ),
        "hooks": ("sigra.cli.inventory:hooks", "List the hooks and which plugins are asked, in order."),
        "keys": ("sigra.cli.keys:keys", "Make secret keys."),
        "outbox": ("sigra.cli.outbox:outbox", "List what waits to be sent, and retry what was given up."),
        "plugins": ("sigra.cli.inventory:plugins", "List the installed plugins."),
        "routes": ("sigra.cli.inventory:routes", "List the routes below the mount path."),
        "users": ("", "List, create, disable and enable accounts."),
        "worker": ("sigra.cli.worker:worker", "Send mail and do the periodic jobs."),
    }
)
"""Where each command is (nowhere: plugins add to it), and what the overview says of it."""

"""The command line, `sigra`: imports what a command needs when that command is asked for."""

from sigra.cli.shell import Shell


def main() -> None:
    """Run the command line; the entry point `sigra`."""
    Shell()(prog_name="sigra")

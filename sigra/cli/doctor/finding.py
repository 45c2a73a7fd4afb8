"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend; never with the value of a secret.

    Args:
        subject: The option, file, plugin or database that it is about.
        problem: What is wrong and what follows from it, in a sentence.
        cure: What to do.
    """

    subject: str
    problem: str
    cure: str

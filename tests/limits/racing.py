"""Takes places in one window many times at once, in a process of its own.

`python -m tests.limits.racing DATABASE_URL LIMITS_URL TRIES` waits for a line, then prints how many places it got and
what else came of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import Any

from sigra import Limit, Sigra, SigraError, TooManyAttempts, hookimpl
from sigra.testing import SECRET_KEY, cheap_settings

"""How long ago a moment was, reckoned by the database: a number is read in a fraction of a time's time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class elapsed(FunctionElement[float]):  # noqa: N801  (a function of SQL)
    """Seconds from the first moment to the second; NULL where one is."""

    type = Float()
    inherit_cache = True

    def __init__(self, since: ColumnElement[Any], until: ColumnElement[Any]) -> None:
        super().__init__(since, until)


@compiles(elapsed)
def _standard(element: elapsed, compiler: SQLCompiler, **words: Any) -> str:
    since, until = _both(element, compiler, words)
    return f"CAST(EXTRACT(EPOCH FROM {until} - {since}) AS DOUBLE PRECISION)"


@compiles(elapsed, "sqlite")
def _sqlite(element: elapsed, compiler: SQLCompiler, **words: Any) -> str:
    since, until = _both(element, compiler, words)
    # A day's fraction has some 40 microseconds of error (sqlite.org/lang_datefunc.html).
    return f"round((julianday({until}) - julianday({since})) * 86400, 3)"


@compiles(elapsed, "mysql", "mariadb")
def _mysql(element: elapsed, compiler: SQLCompiler, **words: Any) -> str:
    since, until = _both(element, compiler, words)
    # Divided by an integer it would be a decimal, of as many digits as the server is set to (div_precision_increment).
    return f"TIMESTAMPDIFF(MICROSECOND, {since}, {until}) / 1e6"


def _both(element: elapsed, compiler: SQLCompiler, words: Any) -> list[str]:
    return [compiler.process(one, **words) for one in element.clauses]

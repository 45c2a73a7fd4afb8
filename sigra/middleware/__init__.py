"""The ASGI pieces, each usable alone: identity, cross-origin protection, the plugins' routes, and the life span.

`Sigra.wrap` composes them, outermost first in this order; a request runs down the list, and a life span goes past them.
"""

from sigra.middleware.identity import IdentityMiddleware
from sigra.middleware.lifespan import LifespanMiddleware
from sigra.middleware.origins import CrossOriginMiddleware
from sigra.middleware.refusals import Refusals
from sigra.middleware.resolver import Resolver
from sigra.middleware.routes import RoutesMiddleware

__all__ = [
    "CrossOriginMiddleware",
    "IdentityMiddleware",
    "LifespanMiddleware",
    "Refusals",
    "Resolver",
    "RoutesMiddleware",
]

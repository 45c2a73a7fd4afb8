"""Where a browser is sent away from here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sigra import Auth


async def onward(auth: Auth, request: Request, url: str, label: str, page: bool) -> Response | None:
    """Send the browser of a form elsewhere; None for a program.

    Args:
        label: What people know the place by.
        page: Whether by a page of ours. A page's policy (`form-action 'self'`; CSP 3, section 6.4.1) holds for all
            redirects that its form leads to, so that one of ours leads nowhere else.
    """
    if "form" not in request.headers.get("content-type", ""):
        return None
    if not page:
        return RedirectResponse(url, status_code=303)
    return await auth.render(request, "oauth/onward.html", {"url": url, "label": label})

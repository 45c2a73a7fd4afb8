"""Django: the user is in the scope of the request; Django's own accounts are not used.

Run it with `uvicorn django_app:app`.
"""

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from sigra import Sigra

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="Django's own", ALLOWED_HOSTS=["localhost"])
django.setup()


async def home(request: HttpRequest) -> HttpResponse:
    user = request.scope["sigra.user"]
    return HttpResponse(f"Hello, {user.email if user else 'stranger'}!")


async def private(request: HttpRequest) -> HttpResponse:
    user = request.scope["sigra.user"]
    if user is None:
        return HttpResponse("Sign in to continue.", status=401)
    return HttpResponse(f"For {user.email} alone.")


urlpatterns = [path("", home), path("private", private)]

auth = Sigra.from_settings()
app = auth.wrap(get_asgi_application())

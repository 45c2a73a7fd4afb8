"""What any plugin promises, by the suite that Sigra ships."""

from typing import ClassVar

from sigra.testing import PluginContract
from sigra_oauth import OAuth


class TestOAuth(PluginContract):
    plugin = OAuth


class TestOAuthWithAProvider(PluginContract):
    plugin = OAuth
    section: ClassVar = {
        "providers": {
            "example": {"issuer": "https://login.example.com", "client_id": "sigra", "client_secret": "a secret"}
        }
    }

"""What every plugin promises."""

from sigra.testing import PluginContract
from sigra_audit import Audit


class TestAudit(PluginContract):
    plugin = Audit

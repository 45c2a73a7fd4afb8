"""What every plugin promises."""

from sigra_audit import Audit

from sigra.testing import PluginContract


class TestAudit(PluginContract):
    plugin = Audit

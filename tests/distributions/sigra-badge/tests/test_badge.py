"""What any plugin promises, checked by the suite that Sigra ships; run where the plugin is installed."""

from sigra_badge import Badge

from sigra.testing import PluginContract


class TestBadge(PluginContract):
    plugin = Badge

"""What any plugin promises, checked by the suite that Sigra ships; run where the plugin is installed."""

from sigra.testing import PluginContract
from sigra_careless import Careless


class TestCareless(PluginContract):
    plugin = Careless

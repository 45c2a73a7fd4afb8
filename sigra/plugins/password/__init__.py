"""Passwords: signing in by one, changing it, and what a good one is."""

from sigra.plugins.password.breaches import Breaches
from sigra.plugins.password.credentials import Credentials
from sigra.plugins.password.plugin import ChangePassword, Password, SetPassword
from sigra.plugins.password.policy import Policy

__all__ = ["Breaches", "ChangePassword", "Credentials", "Password", "Policy", "SetPassword"]

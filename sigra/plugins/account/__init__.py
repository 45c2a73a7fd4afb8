"""The account itself: who its user is, what is held about them, and how they leave."""

from sigra.plugins.account.deletion import (
    AccountDeleted,
    CloseAccount,
    DeletionCancelled,
    DeletionScheduled,
    EraseAccount,
    ReopenAccount,
)
from sigra.plugins.account.plugin import Account, AccountExported
from sigra.plugins.account.profile import ChangeProfile, Profile, ProfileChanged

__all__ = [
    "Account",
    "AccountDeleted",
    "AccountExported",
    "ChangeProfile",
    "CloseAccount",
    "DeletionCancelled",
    "DeletionScheduled",
    "EraseAccount",
    "Profile",
    "ProfileChanged",
    "ReopenAccount",
]

"""Badges: a sign-in of a stranger's own, written against the public face of Sigra alone."""

from sigra_badge.plugin import Badge, BadgeBlocked, BadgeRead

__all__ = ["Badge", "BadgeBlocked", "BadgeRead"]

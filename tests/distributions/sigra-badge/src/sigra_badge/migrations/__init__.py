"""Revisions of the badges' tables."""

"""Revisions of the tables of totp."""

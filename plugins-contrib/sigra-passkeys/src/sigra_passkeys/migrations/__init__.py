"""Revisions of the tables of passkeys."""

"""Revisions of the table of locks."""

"""Who asks, in the shape that a framework expects; each file imports its framework and is imported by no other room.

Only Starlette's shape is used by the core, which stands on Starlette anyway.
"""

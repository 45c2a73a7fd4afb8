"""Who asks, in the shape that a framework expects: one file a framework, imported by applications that use it.

The core imports Starlette's alone, on which it stands anyway.
"""

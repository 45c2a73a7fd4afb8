"""The core's revisions: its own tables and those of all built-in plugins, active or not."""

"""The built-in plugins, one module each. They use what any plugin may use, and nothing else."""

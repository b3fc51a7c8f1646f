"""Backups of the embedded engine: taken while it runs, verified, restored to any moment."""

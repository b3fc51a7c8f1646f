"""Makes streams and outbox agree after a restore (docs/runbooks/histories-diverged.md)."""

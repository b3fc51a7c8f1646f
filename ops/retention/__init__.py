"""Retention: what is of age goes, and a certificate says what went (docs/retention.md)."""

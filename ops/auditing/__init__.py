"""The audit chain: is it whole, and what does it say (docs/retention.md)."""

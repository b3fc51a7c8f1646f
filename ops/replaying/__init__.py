"""Ranges of messages done again: what would differ, and only that is done."""

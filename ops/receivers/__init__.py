"""Receivers that are pushed to: a queue each, at least once, and their answers kept."""

"""Streams that wait: what is looked at, what is released, what is asked again."""

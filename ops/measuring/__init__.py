"""Figures that are looked up: of the database, and of each laboratory."""

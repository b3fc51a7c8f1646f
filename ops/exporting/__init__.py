"""Streams as files and lines for those who analyse them: Parquet, CSV, a table for the eye."""

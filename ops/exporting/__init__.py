"""Streams as files and lines for those who analyse them: Parquet, CSV, a table for the eye."""

from ops.runtime.settings import leave_memory_to_the_system

# Before Arrow is loaded, for it asks once.
leave_memory_to_the_system()

"""Indicators: counted from public health by exactly-once batches, published as extractions."""

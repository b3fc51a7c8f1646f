"""The register of laboratories: their state, their mapping tables, their conformance."""

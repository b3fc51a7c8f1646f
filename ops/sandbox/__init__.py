"""A door to try against: checks and answers as the real one, keeps nothing that lasts."""

"""Parked messages: found, shown, given an owner, mended, done again, or ended by a person."""

"""The sets of routing rules of an instance: which is in effect, how one is loaded and tried."""

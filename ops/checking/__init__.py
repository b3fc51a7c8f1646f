"""What a hub would answer to a file of messages, and why: pure core, renderers, command."""

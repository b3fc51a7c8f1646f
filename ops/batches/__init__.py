"""The batch door: files of messages, over HTTP and out of a watched folder."""

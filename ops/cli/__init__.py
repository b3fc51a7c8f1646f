"""The command line `labdispatch`: one module a group of commands, none with logic.

What a command does stands in the module it calls, imported when it is called: `--help` answers at
once, and `check` loads neither database nor broker.
"""

from .root import main

__all__ = ["main"]

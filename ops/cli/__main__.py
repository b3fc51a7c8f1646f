"""`python -m ops.cli`: how a run starts its processes."""

from ops.cli import main

main()

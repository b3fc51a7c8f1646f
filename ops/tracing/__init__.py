"""Where any message, order, report or event is: every station, by indexes alone."""

"""`labdispatch doctor`: what is wrong with machine, settings and what the hub stands on."""

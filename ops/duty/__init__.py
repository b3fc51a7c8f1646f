"""`labdispatch status` and `top`: one look for whoever is on call, and one that stays."""

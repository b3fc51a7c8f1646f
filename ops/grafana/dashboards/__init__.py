"""One module a dashboard, each with its JSON beside it: `python -m ops.grafana.dashboard`."""

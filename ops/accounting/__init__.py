"""The account by day and laboratory: counted beside the flow, closed, gaps told, reports made."""

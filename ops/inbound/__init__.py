"""The inbound topics: put together, and as an operator looks at them."""

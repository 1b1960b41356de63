"""Tables and figures from a store."""

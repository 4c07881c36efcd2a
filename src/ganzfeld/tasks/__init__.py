"""Tasks: what differs between kinds of data."""

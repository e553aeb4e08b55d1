"""What people open: the REST API."""

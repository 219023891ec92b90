"""The lengths of SMS and push messages."""

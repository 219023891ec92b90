"""The HTTP client, with limits of time and size, and its guards."""

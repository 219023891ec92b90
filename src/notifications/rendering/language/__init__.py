"""What templates may say: the sandbox, its limits, filters, and the reading of sources."""

"""The rows of learned send times and channels."""

"""What previews of staff load without a session."""

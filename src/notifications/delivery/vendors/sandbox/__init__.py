"""The sandbox: every channel, and no vendor is called."""

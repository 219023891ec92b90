"""The chat services that Apprise knows."""

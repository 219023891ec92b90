"""The chat services that Apprise supports."""

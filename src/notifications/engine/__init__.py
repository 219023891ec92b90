"""The engine: from a leased batch to recorded outcomes. See docs/life-of-a-notification.md."""

"""What operators read and change: kill switches, health, metrics, failed items, demo data."""

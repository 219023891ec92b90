"""What operators see and do: kill switches, health, metrics, failed items."""

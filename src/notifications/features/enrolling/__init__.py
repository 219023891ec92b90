"""How people enter series, where their trigger happens (docs/series.md)."""

"""Names every place that holds personal data, and what an erasure does with it."""

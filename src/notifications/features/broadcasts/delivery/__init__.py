"""From a launch to the counters: launch, retry, clear, fold. See docs/broadcasts.md."""

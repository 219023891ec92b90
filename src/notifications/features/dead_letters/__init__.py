"""Dead letters: messages that failed for good or that need a person's decision."""

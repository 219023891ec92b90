"""Tables for operators, and the state of periodic work."""

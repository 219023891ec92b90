"""The SQL of audiences that differs between the two databases."""

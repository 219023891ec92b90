"""Pages that `carillon docs` makes from code, each in a file."""

"""The texts of the templates that an installation starts with."""

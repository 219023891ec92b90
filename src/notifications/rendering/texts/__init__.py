"""The texts of the templates that every installation starts with."""

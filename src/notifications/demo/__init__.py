"""The texts of the demo templates: one file each, and one mail layout for all."""

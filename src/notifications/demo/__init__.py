"""The texts of the demo templates: one file each, set into one mail layout."""

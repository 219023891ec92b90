"""The inbox: what people have, what changes in it, and how clients follow it."""

"""The engine's own code under a seeded scheduler: every interleaving can be run again."""

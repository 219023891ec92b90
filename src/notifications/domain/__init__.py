"""Plain Python: the words and laws of the service. Imports nothing of Django or of ours.

See docs/glossary.md and docs/state-machine.md.
"""

"""Plain Python: the terms and rules of the service. It imports neither Django nor other packages.

See docs/glossary.md and docs/state-machine.md.
"""

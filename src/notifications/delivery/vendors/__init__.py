"""One folder for each vendor: sending, callbacks, incoming texts, settings and error codes.

A vendor has only the files that it needs. `delivery/registry.py` has one entry for each.
See docs/howto/add_a_provider.md.
"""

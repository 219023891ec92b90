"""Fake servers: sinks that count what they receive, and servers with faults.

The tests, `carillon chaos` and `carillon bench` use them.
See docs/reference/provider-contract.md.
"""

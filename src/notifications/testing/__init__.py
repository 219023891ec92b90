"""The fakes that we ship: sinks that count what they are given, and servers that misbehave.

Used by the tests, by `carillon chaos` and by `carillon bench`.
See docs/reference/provider-contract.md.
"""

"""Stage: hands messages to providers. Knows no queue, no policy, no rows.

See docs/reference/provider-contract.md.
"""

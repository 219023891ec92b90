"""Providers: each file one vendor, each knows only its base. See docs/howto/add_a_provider.md."""

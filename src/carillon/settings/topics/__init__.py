"""Settings of one topic each, and where values come from. `environment.py` joins them."""

"""Settings of one topic each, which `environment.py` joins."""

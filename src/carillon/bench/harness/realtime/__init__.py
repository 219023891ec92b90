"""Clients and senders of the benchmark and the chaos of live inboxes."""

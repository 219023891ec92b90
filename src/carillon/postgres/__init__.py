"""PostgreSQL with time-outs on both sides of every session, and a pool without back-off."""

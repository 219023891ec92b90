"""PostgreSQL with time-outs on both sides of every session, and a pool that never backs off."""

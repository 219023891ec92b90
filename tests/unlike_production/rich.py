"""Stands before the library of that name in the processes that tests start: it comes with the
tools of tests, where it slows every start down, and a running service has none."""

raise ImportError("only tools of tests bring it")

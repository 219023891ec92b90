"""Bounds a worker's renders: interrupts slow ones, kills a worker whose interpreter is blocked.

    guard.py          what the pipeline calls around each render
    interrupt.py      a thread that interrupts a render from outside
    board.py          memory that the worker shares with its watchdog
    process.py        the watchdog: a small process that kills a worker whose interpreter is blocked
    note.py           a short-lived process that records for which version a worker was killed
    dispatch_gate.py  stops dispatches while an unproved version renders

See docs/adr/0012-render-processes.md.
"""

"""Renders in a worker: interrupted when they take too long, killed when they hold the interpreter.

    guard.py       what the pipeline calls around each render
    interrupt.py   a thread that interrupts a render from outside
    board.py       what the worker tells its watchdog, in shared memory
    process.py     the watchdog: a small process that kills a worker whose interpreter is held
    note.py        a short-lived process that writes down which version a worker was killed for
    departures.py  nothing departs while a version renders that nobody has proved

See docs/adr/0012-render-processes.md.
"""

"""Renders what strangers wrote in processes of their own, which may be killed.

    desk.py      what services call: trial renders, drafts' reviews, previews
    lending.py   which process works for whom: one a version, one a principal
    child.py     one render process as its parent sees it
    wire.py      what goes between them (msgpack)
    process.py   what runs in a render process: `python -m notifications.rendering.pool.process`
    walls.py     the limits of memory, CPU and files that a render process puts on itself

See docs/adr/0012-render-processes.md.
"""

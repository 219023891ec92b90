"""Renders untrusted texts in separate processes, which may be killed.

    render_client.py   what services call: trial renders, reviews of drafts, previews
    lending.py         lends each process to one caller: one a version, one a principal
    child.py           one render process as its parent sees it
    wire.py            the messages between them (msgpack)
    process.py         the render process: `python -m notifications.rendering.pool.process`
    process_limits.py  the limits of memory, CPU and files that a render process sets for itself

See docs/adr/0012-render-processes.md.
"""

"""What the service does, a room a feature. Doors call a room's services.

A room holds `service.py` (the class that doors call), `queries.py` (reads), `schemas.py` (what
comes in and goes out), then its verbs; `documented.py` holds a class of the documented Python
surface. Rooms import downwards only. See docs/architecture.md.
"""

"""The service: takes in, decides, renders, delivers, records.

See docs/life-of-a-notification.md for the path of one message and docs/architecture.md for the
rooms and who may import whom.
"""

"""The service: accepts, decides, renders, delivers and records notifications.

docs/life-of-a-notification.md describes the path of one message. docs/architecture.md describes the
packages and which package may import which.
"""

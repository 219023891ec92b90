"""The queue: leased batches, lanes, journal. The database is the record; see docs/adr/0001.

`batches` is the interface. `postgres` and `sqlite` hold the statements; one suite of tests proves
both (tests/integration/queue). The documented in-memory queue is exported from here.
"""

from notifications.domain.channels import Priority
from notifications.queue.priority import NotificationMessage, PriorityNotificationQueue

__all__ = ["NotificationMessage", "Priority", "PriorityNotificationQueue"]

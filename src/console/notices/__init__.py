"""The list of notifications, and the page of one."""

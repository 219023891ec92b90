"""Users, groups, relations and devices, which the platform synchronizes with its own data."""

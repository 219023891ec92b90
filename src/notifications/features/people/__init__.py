"""People as the platform keeps them in step with its own: users, groups, relations, devices."""

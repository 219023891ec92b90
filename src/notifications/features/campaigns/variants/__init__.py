"""A/B tests inside campaigns: the plan, the test of a part of the people, and the rest."""

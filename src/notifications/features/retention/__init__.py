"""Storage by age: which rows are emptied or deleted when, and the upkeep that does it."""

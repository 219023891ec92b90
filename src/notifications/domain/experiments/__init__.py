"""The statistics of A/B tests: counts in, results out, without rows and without a clock.

assignment: who gets which variant. proportions: the z-test and intervals for one look.
evidence, decision: when a test may stop, and its winner, however often somebody looks.
sample_ratio: whether the groups have the sizes that the weights promise. planning: how many people.
See docs/experiments.md.
"""

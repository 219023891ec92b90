"""Campaigns: templated, measurable sends to an audience. See docs/campaigns.md."""

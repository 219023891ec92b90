"""Campaigns: their list, the page of one, its form and its actions."""

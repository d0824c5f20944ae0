"""Slack: what its events mean, and how answers look there."""

"""Watches files: what changed, who changed it, and what could not be seen."""

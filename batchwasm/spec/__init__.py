"""Text files in, model out: jobs.toml and inventory.toml, with all problems of both at once."""

from batchwasm.spec.loading import load, load_inventory

__all__ = ["load", "load_inventory"]

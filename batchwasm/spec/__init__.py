"""Text files in, model out: jobs.toml and inventory.toml, with all problems of both at once.

    spec, inventory = load(Path("jobs.toml"))

Nothing past this package sees a dict, or text that means a number.
"""

from batchwasm.spec.graph import needed
from batchwasm.spec.loading import load, load_inventory, this_machine
from batchwasm.spec.one_source import from_source
from batchwasm.spec.schema import schema
from batchwasm.spec.warnings import warnings

__all__ = ["from_source", "load", "load_inventory", "needed", "schema", "this_machine", "warnings"]

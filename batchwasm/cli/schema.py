"""`schema [jobs|inventory]`: what an editor needs to complete and check either file."""

from __future__ import annotations

import json
from typing import Literal

import click


@click.command("schema")
@click.argument("which", type=click.Choice(["jobs", "inventory"]), default="jobs")
def command(which: Literal["jobs", "inventory"]) -> None:
    """Print the JSON Schema of jobs.toml (default) or of an inventory.

    \b
    batchwasm schema > jobs.schema.json
    Then, as the first line of jobs.toml:  #:schema ./jobs.schema.json
    """
    from batchwasm import spec

    click.echo(json.dumps(spec.schema(which), indent=2))

"""`schema [jobs|inventory|events]`: what an editor needs to complete and check either file; what events look like."""

from __future__ import annotations

import json
from typing import Literal

import click


@click.command("schema")
@click.argument("which", type=click.Choice(["jobs", "inventory", "events"]), default="jobs")
def command(which: Literal["jobs", "inventory", "events"]) -> None:
    """Print the JSON Schema of jobs.toml (default), of an inventory, or of a line of 'run --events'.

    \b
    batchwasm schema > jobs.schema.json
    Then, as the first line of jobs.toml:  #:schema ./jobs.schema.json
    """
    if which == "events":
        from batchwasm.telling import eventschema

        found = eventschema.schema()
    else:
        from batchwasm import spec

        found = spec.schema(which)
    click.echo(json.dumps(found, indent=2))

"""All commands by name, each loaded when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run", "Compile, ship, run and collect what a jobs.toml or a source says."),
    "call": ("call", "Call a function of a source once; its value as JSON."),
    "map": ("map", "Call a function for every line of stdin; the values as JSON lines."),
    "resume": ("resume", "Go on with a run whose scheduler was stopped or killed."),
    "status": ("status", "How far a run is: its tasks, jobs and hosts."),
    "results": ("results", "The outcome of every task; with --files also what they left."),
    "explain": ("explain", "Why a task waits, where it runs, how it ended; or what limits a run."),
    "logs": ("logs", "What a task wrote to stdout and stderr; with -f as it writes."),
    "report": ("report", "A run as one HTML file: timeline, utilisation, failures, right-sizing."),
    "cancel": ("cancel", "Have tasks of a run that goes on not run, or all of it."),
    "retry": ("retry", "Run tasks again that did not succeed; a run that is over goes on."),
    "pause": ("pause", "Have a run that goes on start nothing new."),
    "unpause": ("unpause", "Have a paused run go on."),
    "tui": ("tui", "A run on a dashboard, live or afterwards."),
    "wait": ("wait", "Return when a run is over, with its exit code."),
    "runs": ("runs", "The run folders: list them, remove some, export results as CSV or JSON lines."),
    "replay": ("replay", "Run a task of an earlier run again, and compare what it gives."),
    "compile": ("compile", "Compile a source to WebAssembly, and nothing else."),
    "cache": ("cache", "What is known of earlier runs, and forgetting it."),
    "hosts": ("hosts", "Add, check, list, trust, drain and clean the machines of an inventory."),
    "toolchains": ("toolchains", "Which compilers are found, and how to get the others."),
    "schema": ("schema", "The JSON Schema of jobs.toml or of an inventory, for editors."),
    "init": ("init", "Write a first jobs.toml that works."),
    "completion": ("completion", "Completion for bash, zsh or fish."),
}
"""Name -> module in this package with a `command`, and what it does, which spares --help the import."""


def show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from batchwasm.version import __version__

        click.echo(f"batchwasm {__version__}")
        context.exit()


def version_option() -> click.Option:
    return click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show_version,
        help="Show the version and exit.",
    )


class Commands(click.Group):
    """A group whose commands get --version."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = self.load(ctx, cmd_name)
        if command is not None and not any("--version" in param.opts for param in command.params):
            command.params.append(version_option())
        return command

    def load(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, name)


class Main(Commands):
    """The commands of COMMANDS, each imported when it is called or completed, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def load(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"batchwasm.cli.{COMMANDS[name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            raise click.UsageError(f"no such command: {name}{f'; did you mean {near[0]}?' if near else ''}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from batchwasm import carried

        if carried.tree() is not None:  # which the start of the one file takes for itself; see scripts/onefile
            with formatter.section("Instead of a command"):
                formatter.write_dl(
                    [("--unpack-to FOLDER", "Install this one file there, for all users of the machine.")]
                )
        super().format_options(ctx, formatter)


batchwasm = Main(
    "batchwasm",
    params=[version_option()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Run batches of WebAssembly on pools of lab machines, over plain SSH.",
    epilog="Start with 'batchwasm init', then 'batchwasm run jobs.toml'; or with 'batchwasm init --function'.",
)

"""`completion bash|zsh|fish`: the script that a shell sources."""

from __future__ import annotations

import click


@click.command("completion", short_help="Completion for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash   eval "$(batchwasm completion bash)"          in ~/.bashrc
    zsh    eval "$(batchwasm completion zsh)"           in ~/.zshrc, after compinit
    fish   batchwasm completion fish | source           in ~/.config/fish/config.fish
    """
    from batchwasm.cli.complete import script

    click.echo(script(shell), nl=False)

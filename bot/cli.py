"""The command `quantahr`.

A sub-command's module is imported only when it is called, so `quantahr --help` answers at once. Results go to stdout,
everything else to stderr. Exit status: 0 success, 1 a run that failed, 2 bad usage.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from config.errors import QuantaHRError

# Name, where its command is, and its line in the help: written here so that help needs no import.
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("bot.serve:command", "Web chat and API; reads the documents and keeps up with them."),
    "ask": ("bot.ask:command", "Answer one question on the terminal."),
    "ingest": ("bot.ingest:command", "Add or refresh documents; removed files disappear."),
    "eval": ("trainer.evaluate:command", "Answer a file of questions over a folder, and grade the answers."),
    "dataset": ("trainer.dataset:command", "Build what is trained on, from votes, corrections and documents."),
    "train": ("trainer.train:command", "Train an adapter on a dataset, or rebuild the parts that ship."),
    "export": ("trainer.models:export_command", "Merge, convert, quantize and verify what was trained."),
    "models": ("trainer.models:command", "Say which model answers; promote one, or go back."),
    "feedback": ("bot.exchange:command", "List, approve, export and import what people said of answers."),
    "erase": ("bot.erase:command", "Remove a person or an answer from everything."),
    "slack": ("bot.slack.manifest:command", "Set up the bot in Slack."),
    "doctor": ("bot.doctor:command", "Check environment, model, index and disk; say what to do."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="quantahr")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings; else $QUANTAHR_CONFIG, else config/quantahr.toml."
)
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to stderr.")
@click.pass_context
def quantahr(context: click.Context, config: Path | None, verbose: bool) -> None:
    """A private HR assistant: answers from your own policies, with citations, on this machine."""
    from bot.terminal import start_logging

    start_logging(verbose=verbose)
    context.obj = config


def main() -> None:
    """Run the command line; errors that QuantaHR raises on purpose are one sentence on stderr."""
    try:
        quantahr(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except QuantaHRError as error:
        click.echo(f"quantahr: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

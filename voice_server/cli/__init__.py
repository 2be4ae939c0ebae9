"""The command line. Subcommands are imported when used, so `--help` is instant."""

from __future__ import annotations

from importlib import import_module

import click

from voice_server import __version__

_COMMANDS = {
    "call": ("voice_server.cli.call", "Let a simulated phone play a recording to the server."),
    "demo": ("voice_server.cli.demo", "Let recorded callers ring a server on this machine."),
    "db": ("voice_server.cli.db", "Migrate, inspect and open the database."),
    "detect": ("voice_server.cli.detect", "Look for scams in transcripts and recordings."),
    "evaluate": ("voice_server.cli.evaluate", "Evaluate the models we ship."),
    "keys": ("voice_server.cli.keys", "Keep the tenants' own keys of providers."),
    "dial": ("voice_server.cli.dial", "Have an agent call somebody."),
    "doctor": ("voice_server.cli.doctor", "Find what is wrong, and how to mend it."),
    "lab": ("voice_server.cli.lab", "Run every simulated provider, for any client."),
    "mirror": ("voice_server.cli.mirror", "Let people watch live calls."),
    "models": ("voice_server.cli.models", "Fetch and check the third-party weights."),
    "prices": ("voice_server.cli.prices", "Show and change what things cost."),
    "replay": ("voice_server.cli.replay", "Replay the journal of a call."),
    "serve": ("voice_server.cli.serve", "Run the server."),
    "twilio": ("voice_server.cli.twilio", "Make Twilio's numbers lead to this server."),
    "train": ("voice_server.cli.train", "Train the models we ship."),
}


class _LazyGroup(click.Group):
    """Knows its commands by name and help line; imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in sorted(_COMMANDS)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voice-server")
def main() -> None:
    """A real-time telephony voice-agent server with an in-process scam shield."""

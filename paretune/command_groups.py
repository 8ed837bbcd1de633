"""The groups in which `paretune --help` lists its commands."""

from typing import Any

from typer.core import TyperGroup

STUDIES = "Studies"
RESULTS = "Results"
DATA = "Data"
SERVER = "Server"
ADMINISTRATION = "Administration"
LONGEST_HELP = 300
"""Characters of a first sentence; the formatter breaks it into lines."""
GROUPS = (STUDIES, RESULTS, DATA, SERVER, ADMINISTRATION)


class GroupedCommands(TyperGroup):
    """Lists commands by their `rich_help_panel`, which Typer itself heeds only where it takes markup."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write a section for each group, in the order of `GROUPS`."""
        shown = [(name, command) for name, command in self.commands.items() if not command.hidden]
        for group in GROUPS:
            rows = [
                (name, command.get_short_help_str(LONGEST_HELP))
                for name, command in shown
                if getattr(command, "rich_help_panel", None) == group
            ]
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows)

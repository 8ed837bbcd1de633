"""The MCP server: which tools there are, and over what they are spoken to. Knows nothing of studies."""

import inspect
from importlib.metadata import version

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

from paretune.mcp_server.tools import FindServer, StudyTools

INSTRUCTIONS = """\
Paretune searches configurations for several objectives at once and keeps the Pareto front. It fine-tunes
transformers with PEFT methods itself (kind peft), or proposes to a program of the user (kind custom).
The usual way: study_format, create_study, watch_study again and again, pareto_front, recommend, export_trial.
Objectives of a front trade against each other: show the user the trade-off before you choose."""

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
SETS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
ENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)


def mcp_server(find_server: FindServer) -> MCPServer:
    """Make the server of one caller; every call asks where Paretune is and which key to use."""
    tools = StudyTools(find_server)
    made: MCPServer = MCPServer(
        "paretune", instructions=INSTRUCTIONS, version=version("paretune"), log_level="WARNING"
    )
    for tool, hints in (
        (tools.study_format, READS),
        (tools.create_study, ADDS),
        (tools.list_studies, READS),
        (tools.watch_study, READS),
        (tools.list_trials, READS),
        (tools.pareto_front, READS),
        (tools.recommend, READS),
        (tools.export_trial, ADDS),
        (tools.pause_study, SETS),
        (tools.resume_study, SETS),
        (tools.cancel_study, ENDS),
        (tools.extend_study, ADDS),
    ):
        made.add_tool(tool, description=inspect.getdoc(tool), annotations=hints)
    return made


def serve(find_server: FindServer) -> None:
    """Serve one client on stdin and stdout until it hangs up; everything else is printed on stderr."""
    mcp_server(find_server).run("stdio")

"""The command `agent`: this machine as a device of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paretonas.cli import console
from paretonas.cli.app import app


@app.command()
def agent(
    token_file: Annotated[
        Path | None, typer.Option(help="File of the token that others give; else PARETONAS_AGENT_TOKEN.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="For the models that it is given.")] = Path("paretonas-agent"),
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all, with a certificate.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: a free one.")] = 8765,
    certificate: Annotated[Path | None, typer.Option(help="PEM file to prove itself with, for HTTPS.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key, if it is another.")] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="Write the agent as one file instead, for a device with Python and numpy alone: agent.pyz."),
    ] = None,
) -> None:
    """Let others time models on this machine, over HTTPS and with a token."""
    from paretonas.device.agent.__main__ import read_token, run_agent
    from paretonas.device.agent.server import AgentOptions
    from paretonas.device.runner.bundle import bundle, written_bundle
    from paretonas.files import written_aside

    if write is not None:
        with written_aside(write) as draft:
            draft.write_bytes(bundle()[1])
        console.out.print(f"Written: {write}. On the device: python3 {write.name} agent --help")
        return
    options = AgentOptions(read_token(token_file), folder, host, port, certificate, key)
    run_agent(options, written_bundle(folder))

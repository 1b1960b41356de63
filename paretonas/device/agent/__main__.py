"""Starts an agent where nothing of ours is installed: `python3 agent.pyz agent --token-file FILE`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from paretonas.device.agent.server import Agent, AgentOptions
from paretonas.device.runner.worker import Worker
from paretonas.errors import UsageError

TOKEN = "PARETONAS_AGENT_TOKEN"


def main(arguments: list[str]) -> int:
    """Read the options and serve; the exit code."""
    parser = argparse.ArgumentParser(prog="agent", description="Let those who know the token time models here.")
    parser.add_argument("--token-file", type=Path, help=f"file of the token; else the variable {TOKEN}")
    parser.add_argument("--folder", type=Path, default=Path("paretonas-agent"), help="for models")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8765, help="0: a free one")
    parser.add_argument("--certificate", type=Path, help="PEM file, for TLS")
    parser.add_argument("--key", type=Path, help="PEM file of its key, if it is another")
    given = parser.parse_args(arguments)
    try:
        options = AgentOptions(
            read_token(given.token_file), given.folder, given.host, given.port, given.certificate, given.key
        )
        run_agent(options, Path(sys.argv[0]))
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def read_token(file: Path | None) -> str:
    """From a file, or the environment.

    Raises:
        UsageError: There is none.
    """
    if file is None:
        return os.environ.get(TOKEN, "")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"A token is in a text file, but {file} cannot be read: {error}.") from None


def run_agent(options: AgentOptions, runner: Path) -> None:
    """Serve until it is interrupted.

    Args:
        options: How.
        runner: The file of the runner.

    Raises:
        UsageError: It cannot be served so.
    """
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"An agent keeps models in {options.folder}, but it cannot be made: {error}.") from None
    worker = Worker([sys.executable, str(runner), "work", str(options.folder)], options.limit)
    agent = Agent(options, worker.ask)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=agent.shutdown).start())
    sys.stderr.write(f"Listening on {agent.url}\n")
    try:
        agent.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        agent.server_close()
        worker.close()

"""Announce a running `manage.py up`: to people in the terminal, to scripts in up.json."""

import json
import shlex
from datetime import datetime
from pathlib import Path

from catalyst.core import operations
from catalyst.core.actor import SYSTEM
from catalyst.database import embedded_url
from catalyst.env import Env, default_data_folder, env
from catalyst.ops.processes.prepare import Installation
from catalyst.package import FILES, IS_INSTALLED, command
from catalyst.secret_key import write_private

TEXT = """
Catalyst runs at {url}

  Sign in      {login_url}
               (works once; {login_link} makes another)
  Ingest key   {ingest_key}
  Data, logs   {data}

Send traces from Python (pip install 'catalyst-tracing[openai]'):

  from catalyst_tracing import agent_span, setup

  tracing = setup(endpoint="{url}", token="{ingest_key}")
  with agent_span(tracing.tracer, agent_id="my-agent", span_name="turn", session_id="chat-1") as span:
      span.set_input("Hello")
      span.set_output("Hi!")
  tracing.shutdown()

or from any OpenTelemetry SDK:

  export OTEL_EXPORTER_OTLP_ENDPOINT="{url}"
  export OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf"
  export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20{ingest_key}"

Ctrl-C stops it.
"""
# For a journal or a log, which others may read.
TEXT_WITHOUT_SECRETS = """
Catalyst runs at {url}

  Sign in      this prints a link:
               {shell_line}
  Keys         in {status_file}
  Data, logs   {data}
"""


def status_file(data: Path) -> Path:
    # Exists while everything answers.
    return data / "up.json"


def write_status(
    data: Path, installation: Installation, pids: dict[str, int], now: datetime, *, to_terminal: bool
) -> str:
    """Write up.json and return the text to print. It holds secrets only if it goes to a terminal."""
    url = env.base_url()
    facts = {
        "url": url,
        "login_url": url + operations.make_login_link(installation.owner, by=SYSTEM, now=now),
        "ingest_key": installation.ingest_key,
        "api_key": installation.api_key,
        "database_url": env.database_url or embedded_url(env.data),
    }
    write_private(status_file(data), json.dumps({**facts, "pids": pids}, indent=2))
    text = TEXT if to_terminal else TEXT_WITHOUT_SECRETS
    login_link = command("login_link")
    words = {"login_link": login_link, "shell_line": _shell_line(login_link, data)}
    return text.format(**facts, data=data, status_file=status_file(data), **words)


def _shell_line(run: str, data: Path) -> str:
    """The command for any folder, with the settings that lead to this instance. The URL of a database is a secret."""
    where = {"CATALYST_DATA": (str(data), str(default_data_folder()))}
    where |= {f"CATALYST_{name.upper()}": _value_and_default(name) for name in ("host", "port", "url")}
    settings = [f"{name}={shlex.quote(value)}" for name, (value, default) in where.items() if value != default]
    settings += ["DATABASE_URL=…"] if env.database_url else []
    program = [] if IS_INSTALLED else [shlex.quote(str(FILES / ".venv" / "bin" / "python"))]
    script = run if IS_INSTALLED else run.replace("manage.py", shlex.quote(str(FILES / "manage.py")))
    return " ".join([*settings, *program, script])


def _value_and_default(name: str) -> tuple[str, str]:
    return str(getattr(env, name)), str(Env.model_fields[name].default)


def update_pids(data: Path, pids: dict[str, int]) -> None:
    facts = json.loads(status_file(data).read_text())
    write_private(status_file(data), json.dumps({**facts, "pids": pids}, indent=2))


def remove_status(data: Path) -> None:
    status_file(data).unlink(missing_ok=True)

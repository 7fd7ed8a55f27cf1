"""A running Catalyst, started and stopped as a person would, and the way into it with a browser."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.processes import ROOT, environment, eventually, free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]

RUN_SCRIPTS = """
import contextlib, io, json, sys
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(json.loads(line), {})
    print(json.dumps(printed.getvalue()), flush=True)
"""
NEW_PROJECTS = """
from catalyst.core.models import ApiKey, Membership, Project, User
for slug in {slugs}:
    project = Project.objects.create(name=slug.title(), slug=slug)
    Membership.objects.create(project=project, user=User.objects.earliest("pk"), role="owner")
    print(ApiKey.issue(project=project, name="sdk", scopes=["ingest"])[1])
"""


@dataclass(frozen=True)
class Instance:
    """What `up.json` says, and where it was found."""

    url: str
    login_url: str
    ingest_key: str
    api_key: str
    database_url: str
    pids: dict[str, int]
    data: Path
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)
    shells: list[subprocess.Popen[str]] = field(default_factory=list)

    def now(self) -> "Instance":
        """The same as up.json says it now: processes may have been replaced."""
        return Instance(**json.loads((self.data / "up.json").read_text()), data=self.data)

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows straight from its database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement, parameters).fetchall()

    def count(self, statement: str, *parameters: object) -> int:
        """One number straight from its database."""
        ((number,),) = self.query(statement, *parameters)
        assert isinstance(number, int)
        return number

    def execute(self, statement: str, *parameters: object) -> None:
        """Change something straight in its database, outside of any transaction."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(statement, parameters)

    def manage(self, *arguments: str) -> str:
        """What `manage.py ARGUMENTS` prints on its data folder."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(),
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def environment(self) -> dict[str, str]:
        """The environment of commands on its data folder, and on its database if that is not embedded."""
        named = {} if "postgres" in self.pids else {"DATABASE_URL": self.database_url}
        return environment(CATALYST_DATA=str(self.data), **named)

    def shell(self, script: str) -> str:
        """What a script prints that runs within it. One process runs all scripts: Django takes seconds to start."""
        if not self.shells:
            command = [sys.executable, "manage.py", "shell", "--verbosity=0", "-c", RUN_SCRIPTS]
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.shells.append(subprocess.Popen(command, cwd=ROOT, env=self.environment(), **pipes))
        (process,) = self.shells
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(script) + "\n")
        process.stdin.flush()
        printed = process.stdout.readline()
        assert printed, "the script failed: see its error"
        return str(json.loads(printed)).strip()

    def close(self) -> None:
        """End the process that runs scripts."""
        for process in self.shells:
            process.kill()
            process.communicate()

    def login_address(self, person: str) -> str:
        """A new address that signs a person in, as `manage.py login_link` prints it."""
        printed = self.shell(f"from django.core.management import call_command; call_command('login_link', '{person}')")
        link = printed.split()[-1]
        return self.url + link[link.index("/login/") :]

    def cookies_of(self, person: str) -> dict[str, str]:
        """The cookies of a person, who signs in only once."""
        if person not in self.cookies:
            with httpx.Client() as client:
                use_login_link(client, self.login_address(person))
                self.cookies[person] = dict(client.cookies)
        return self.cookies[person]

    def new_projects(self, *slugs: str) -> list[str]:
        """Make projects of the printed login's user; returns an ingest key of each."""
        return self.shell(NEW_PROJECTS.format(slugs=slugs)).split()


@contextmanager
def started(data: Path, **extra: str) -> Iterator[Instance]:
    """A Catalyst in this folder on a free port, stopped at the end as Ctrl-C would."""
    with started_with_files(data, resource.getrlimit(resource.RLIMIT_NOFILE), **extra) as instance:
        yield instance


@contextmanager
def started_with_files(data: Path, files: tuple[int, int], **extra: str) -> Iterator[Instance]:
    """The same. `files`: how many its processes may open, and how far they may raise that."""
    variables = environment(CATALYST_DATA=str(data), CATALYST_PORT=str(free_port()), **extra)
    with (data / "up.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=variables,
            stdout=log,
            stderr=log,
            preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, files),  # noqa: PLW1509 # this process has no threads yet
        )
    ready = data / "up.json"
    try:
        eventually(lambda: ready.exists() or process.poll() is not None, seconds=180)
        assert ready.exists(), (data / "up.log").read_text()
        with closing(Instance(**json.loads(ready.read_text()), data=data)) as instance:
            yield instance
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        shutil.rmtree((data / "postgres").resolve(), ignore_errors=True)


IS_TOLD = """
    SELECT count(*) FROM core_project p WHERE p.slug = 'demo'
        AND (SELECT min(start_time) FROM traces_trace WHERE project_id = p.id) < now() - interval '6 days 20 hours'
        AND NOT EXISTS (SELECT FROM traces_unsettled WHERE due_at < now())
        AND NOT EXISTS (SELECT FROM signals_label WHERE status IN ('queued', 'running'))
"""


@contextmanager
def started_with_demo(data: Path, **extra: str) -> Iterator[Instance]:
    """The same with the project Demo, filled and judged; what comes in from then on is new traffic."""
    with started(data, DEMO="1", **extra) as instance:
        eventually(lambda: instance.count(IS_TOLD) == 1, seconds=240)
        yield instance


@contextmanager
def browser() -> Iterator[Browser]:
    """The real Chromium; it is known to be there."""
    with sync_playwright() as playwright:
        sandbox = os.geteuid() != 0
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, chromium_sandbox=sandbox)
        yield chromium
        chromium.close()


def use_login_link(client: httpx.Client, link: str) -> httpx.Response:
    """Open a login link and press its button."""
    client.get(link)
    token = next((value for name, value in client.cookies.items() if name.startswith("catalyst_csrf")), "")
    return client.post(link, data={"csrfmiddlewaretoken": token})


def sign_in(page: Page, instance: Instance, person: str = "owner") -> None:
    """Give a window the cookies of a person. It stays where it is."""
    cookies = instance.cookies_of(person).items()
    page.context.add_cookies([{"name": name, "value": value, "url": instance.url} for name, value in cookies])


def sign_in_by_link(page: Page, instance: Instance, person: str = "owner") -> None:
    """Open a login link."""
    page.goto(instance.login_address(person))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/p/[\w-]+/traces/$"))


def replay(recording: Path, instance: Instance, key: str) -> None:
    """Post the recording with its own client, shifted so that it ends now."""
    script = str(recording.with_name("replay.py"))
    command = [sys.executable, script, str(recording), f"{instance.url}/v1/traces", "--key", key]
    subprocess.run(command, check=True, capture_output=True, timeout=120)

"""The operator page, health checks and metrics."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from catalyst.core.access import SignedInRequest
from catalyst.core.sign_ins import address
from catalyst.health import Check, worst
from catalyst.htmx import render
from catalyst.ops.checks import is_this_machine
from catalyst.ops.monitoring import doctor, snapshot
from catalyst.ops.monitoring.metrics import CONTENT_TYPE, exposition
from catalyst.ops.monitoring.snapshot import Reading

PLAIN = "text/plain; charset=utf-8"


@login_not_required
@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    # Liveness only, without a query.
    return HttpResponse("ok\n", content_type=PLAIN)


@login_not_required
@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Return 200 if requests can be answered, else 503 with the reasons."""
    checks = doctor.readiness(timezone.now())
    problems = [f"{check.part} {check.name}: {check.text}" for check in checks if check.state == "bad"]
    text = "".join(f"{line}\n" for line in problems or ["ready"])
    return HttpResponse(text, content_type=PLAIN, status=503 if problems else 200)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return metrics to clients with the token, or only to this machine if no token is set."""
    if refusal := _refusal(request):
        return refusal
    try:
        text = exposition(snapshot.collect(timezone.now()).metrics())
    except DatabaseError:
        return HttpResponse("The database does not answer.\n", content_type=PLAIN, status=503)
    return HttpResponse(text, content_type=CONTENT_TYPE)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    # A proxy on this machine forwards remote requests, but with the public host name.
    if not settings.METRICS_TOKEN:
        host = request.get_host().rpartition(":")[0] or request.get_host()
        if is_this_machine(address(request)) and is_this_machine(host.strip("[]")):
            return None
        text = "Set CATALYST_METRICS_TOKEN to read this from elsewhere.\n"
        return HttpResponse(text, content_type=PLAIN, status=403)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secrets.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode()):
        return None
    refused = HttpResponse("The token is missing or wrong.\n", content_type=PLAIN, status=401)
    refused["WWW-Authenticate"] = "Bearer"
    return refused


@never_cache
@require_safe
def operator(request: SignedInRequest) -> HttpResponse:
    if not request.user.is_staff:
        raise PermissionDenied("Only operators of this instance may look at it. Ask one of them.")
    now = timezone.now()
    try:
        readings = snapshot.collect(now).readings
        checks = [check for reading in readings for check in reading.checks()]
        panels = list(_panels(readings))
    except DatabaseError as error:
        checks = doctor.without_database(error)
        panels = list(_tables(checks))
    context = {
        "panels": panels,
        "problems": [check for check in checks if check.state != "ok"],
        "state": worst(check.state for check in checks),
        "now": now,
        # Others can't open the pages of a project.
        "own_projects": {membership.project_id for membership in request.user.own_memberships},
    }
    return render(request, "ops/operator.html", context, partial="state")


@dataclass(frozen=True, slots=True)
class Panel:
    """A table of checks, or a probe's template with its value."""

    part: str = ""
    checks: tuple[Check, ...] = ()
    template: str = ""
    value: Any = None


def _panels(readings: Sequence[Reading]) -> Iterator[Panel]:
    for template, group in groupby(readings, key=lambda reading: reading.probe.template):
        if template:
            yield from (Panel(template=template, value=reading.value) for reading in group)
        else:
            yield from _tables(check for reading in group for check in reading.checks())


def _tables(checks: Iterable[Check]) -> Iterator[Panel]:
    for part, group in groupby(checks, key=lambda check: check.part):
        yield Panel(part=part, checks=tuple(group))

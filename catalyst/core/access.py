"""Access to projects: every page under /p/<project>/ is checked here."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django_htmx.middleware import HtmxDetails

from catalyst.core.actor import Actor
from catalyst.core.models import Membership, Project, User
from catalyst.htmx import wants_partial

COOKIE = f"{settings.SESSION_COOKIE_NAME}_project"
YEAR = timedelta(days=365)


class SignedInRequest(HttpRequest):
    user: User
    htmx: HtmxDetails


class ProjectRequest(SignedInRequest):
    project: Project
    membership: Membership
    actor: Actor


def last_project(request: HttpRequest) -> Project | None:
    """Return the project that this browser opened last, else the first by name."""
    if not request.user.is_authenticated:
        return None
    projects = [membership.project for membership in request.user.own_memberships]
    opened = (project for project in projects if project.slug == request.COOKIES.get(COOKIE))
    return next(opened, projects[0] if projects else None)


class ProjectMiddleware:
    """Turn the `project` of a URL into `request.project`, and remember it for `last_project`.

    People who are not members get the 404 of a project that does not exist.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        project: Project | None = getattr(request, "project", None)
        if project and not wants_partial(request) and request.COOKIES.get(COOKIE) != project.slug:
            response.set_cookie(
                COOKIE, project.slug, max_age=YEAR, httponly=True, samesite="Lax", secure=request.is_secure()
            )
        return response

    def process_view(
        self, request: ProjectRequest, _view: Callable[..., HttpResponse], _args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        # LoginRequiredMiddleware runs first.
        slug = kwargs.pop("project", None)
        if slug is None:
            return
        membership = next((row for row in request.user.own_memberships if row.project.slug == slug), None)
        if membership is None:
            raise Http404("No such project")
        request.membership = membership
        request.project = membership.project
        request.actor = Actor(request.user)


def editor_required[**P, R: HttpResponseBase](
    view: Callable[Concatenate[ProjectRequest, P], R],
) -> Callable[Concatenate[ProjectRequest, P], R]:
    """Allow owners and members. Viewers get 403."""

    @wraps(view)
    def checked(request: ProjectRequest, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not request.membership.can_edit:
            raise PermissionDenied("Viewers can look but not change anything. Ask an owner for the member role.")
        return view(request, *args, **kwargs)

    return checked


def owner_required[**P](
    view: Callable[Concatenate[ProjectRequest, P], HttpResponse],
) -> Callable[Concatenate[ProjectRequest, P], HttpResponse]:
    """Allow owners. Others get 403."""

    @wraps(view)
    def checked(request: ProjectRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.membership.is_owner:
            raise PermissionDenied("Only owners of the project may do this. Ask one of them.")
        return view(request, *args, **kwargs)

    return checked

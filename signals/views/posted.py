"""Views that only take POST."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate

from django.http import HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse

from catalyst.core.access import ProjectRequest

type View[**P] = Callable[Concatenate[ProjectRequest, P], HttpResponse]


def post_only[**P](page: str) -> Callable[[View[P]], View[P]]:
    """Redirect GET to `page` of the project, where the nearest page above the address is another one.

    `FormAddressMiddleware` redirects the other addresses that only take POST.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def checked(request: ProjectRequest, /, *view_args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method == "POST":
                return view(request, *view_args, **kwargs)
            if request.method not in {"GET", "HEAD"}:
                return HttpResponseNotAllowed(["POST"])
            return redirect(reverse(page, args=[request.project.slug]))

        return checked

    return decorate

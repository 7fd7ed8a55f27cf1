"""Pages of people who get mails: confirm an address, stop mails, and one's own mails."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from alerts import recipients
from catalyst.core.access import SignedInRequest
from catalyst.htmx import render


@login_not_required
@never_cache
def mail_confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Confirm an address by a mailed link. Only a POST does, because mail scanners open links.

    Other methods are not refused: a refusal would be logged with the link.
    """
    now = timezone.now()
    recipient = recipients.to_confirm(token, now)
    if recipient is None:
        return render(request, "alerts/mail_link_void.html", status=410)
    if request.method == "POST":
        recipients.confirm(recipient, now)
    context = {"recipient": recipient, "channel": recipient.channel, "done": request.method == "POST"}
    return render(request, "alerts/mail_confirm.html", context)


@login_not_required
@never_cache
@csrf_exempt
def mail_stop(request: HttpRequest, token: str) -> HttpResponse:
    """Stop mails by the link in each of them. Mail programs post to it without a cookie (RFC 8058).

    `again=1` lets them begin again. The link itself shows who may do this.
    """
    recipient = recipients.of_stop_link(token)
    if recipient is None:
        return render(request, "alerts/mail_link_void.html", status=410)
    if request.method == "POST" and request.POST.get("again") == "1":
        recipients.resume(recipient)
    elif request.method == "POST":
        recipients.stop(recipient, now=timezone.now())
    recipient.refresh_from_db(fields=["stopped_at"])
    return render(request, "alerts/mail_stop.html", {"recipient": recipient, "channel": recipient.channel})


@require_safe
def own_mails(request: SignedInRequest) -> HttpResponse:
    """The mails to the address in one's profile. Only the link in them stops them: anybody may enter any address."""
    return render(request, "alerts/own_mails.html", {"recipients": recipients.of_person(request.user)})

"""Tasks of core."""

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.tasks import task
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from catalyst.core.models import User


@task
def send_password_link(pk: int) -> None:
    """Mail a link with which a person sets a new password.

    At most once: if the mail server does not take it, the person asks again. The link is made here, so that no queue
    has it. It works until the password changes, the person signs in, or PASSWORD_RESET_TIMEOUT has passed.
    """
    user = User.objects.filter(pk=pk, is_active=True).exclude(email="").first()
    if user is None:
        return
    user_id = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("core:password-new", args=[user_id, default_token_generator.make_token(user)])
    context = {"user": user, "link": f"{settings.PUBLIC_URL}{path}", "hours": settings.PASSWORD_RESET_TIMEOUT // 3600}
    text = render_to_string("core/mail/password_link.txt", context)
    send_mail("Your new password for Catalyst", text, None, [user.email])

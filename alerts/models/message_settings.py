"""What messages of a project may show."""

from django.db import models

from catalyst.core.models import Project


class MessageSettings(models.Model):
    """A project without a row has the defaults."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, primary_key=True, related_name="message_settings")
    shows_excerpts = models.BooleanField(
        default=True, help_text="Whether messages quote labels with the judge's reasons, which may quote traffic."
    )

    class Meta:
        verbose_name = "settings of messages"
        verbose_name_plural = "settings of messages"

    def __str__(self) -> str:
        return f"Settings of messages of {self.project_id}"


def shows_excerpts(project_id: int) -> bool:
    return not MessageSettings.objects.filter(project=project_id, shows_excerpts=False).exists()

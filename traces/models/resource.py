"""Senders of spans."""

from django.db import models

from catalyst.core.models import Project


class ResourceQuerySet(models.QuerySet["Resource"]):
    def of(self, project: "Project", digest: int) -> "Resource | None":
        return self.filter(project=project, digest=digest).first()


class Resource(models.Model):
    """OpenTelemetry's resource attributes and instrumentation scope, stored once and referenced by digest."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.BigIntegerField()
    attributes = models.JSONField(default=dict)
    scope_name = models.CharField(max_length=512, blank=True)
    scope_version = models.CharField(max_length=256, blank=True)

    objects = ResourceQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="traces_resource_key")]

    def __str__(self) -> str:
        return self.scope_name

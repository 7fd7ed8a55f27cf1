"""Attributes that all spans of one sender share, kept once."""

from django.db import models

from catalyst.core.models import Project


class ResourceQuerySet(models.QuerySet["Resource"]):
    """Resources."""

    def of(self, project: "Project", digest: int) -> "Resource | None":
        """The resource that a payload names."""
        return self.filter(project=project, digest=digest).first()


class Resource(models.Model):
    """Who sent a span: OpenTelemetry's resource attributes and instrumentation scope, kept once and named by digest."""

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

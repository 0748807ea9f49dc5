"""What Django knows of the app."""

from __future__ import annotations

from django.apps import AppConfig


class RealityConfig(AppConfig):
    """The app, labelled `reality`."""

    name = "reality.contrib.django"
    label = "reality"
    verbose_name = "Reality"
    default_auto_field = "django.db.models.BigAutoField"

"""The two processes of each service, built from the environment."""

import os
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from services.kit import crash_points, logs
from services.kit.settings import ServiceSettings


class SettingsUnusable(SystemExit):
    """The environment lacks what the process needs; the message names each variable."""


async def serve(service: str) -> None:
    """Answer a service's requests until told to stop."""
    from services.kit.http import serving  # noqa: PLC0415 - a worker answers no requests

    settings = _settings(service)
    logs.configure(service=service, process="api")
    arm_crash_points()
    create_app = import_module(f"services.{service}.main").create_app
    await serving.serve(create_app(settings), settings)


async def work(service: str) -> None:
    """Do a service's work beside its requests until told to stop."""
    settings = _settings(service)
    logs.configure(service=service, process="worker")
    arm_crash_points()
    run: Callable[[Any], Awaitable[None]] = import_module(f"services.{service}.worker").run
    await run(settings)


def arm_crash_points() -> None:
    """Let this process fail where its environment says; raise `SettingsUnusable` where that says nothing."""
    try:
        crash_points.arm(os.environ.get(crash_points.VARIABLE, ""))
    except crash_points.CrashPointsUnusable as error:
        raise SettingsUnusable(f"baton: {crash_points.VARIABLE}: {error}") from error


def _settings(service: str) -> ServiceSettings:
    kind: type[ServiceSettings] = getattr(
        import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings"
    )
    from_environment: dict[str, Any] = {}
    try:
        return kind(**from_environment)
    except ValidationError as error:
        wrong = [f"BATON_{str(found['loc'][0]).upper()}: {found['msg']}" for found in error.errors()]
        raise SettingsUnusable(f"baton: {service} cannot start: " + "; ".join(wrong)) from error

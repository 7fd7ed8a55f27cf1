#!/usr/bin/env python
"""Run Django's management commands for Catalyst."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from pydantic import ValidationError


def main() -> None:
    """Run the command; settings that make no sense end in one line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalyst.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except ValidationError as error:
        names = [str(problem["loc"][0]).upper() for problem in error.errors()]
        variables = [name if name in os.environ else f"CATALYST_{name}" for name in names]
        problems = [f"{name}: {problem['msg']}." for name, problem in zip(variables, error.errors(), strict=True)]
        sys.exit(" ".join(problems))


if __name__ == "__main__":
    main()

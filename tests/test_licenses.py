"""Every locked package and every vendored file has a license that fits Apache-2.0.

A package is checked where it is installed. The locks name a few more, for systems that Catalyst does not run on.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path

import pytest
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
RUNTIME, DEVELOPMENT = "requirements.lock", "requirements-dev.lock"
VENDORED = tomllib.loads((ROOT / "static" / "vendor" / "VENDOR.toml").read_text())

# SPDX identifiers. MPL-2.0 asks for the source of changed files, and we change none.
ALLOWED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
}

LIBRARY = "LGPL: imported unchanged, never copied into Catalyst, and anybody can install another version"
# Packages whose license is not allowed in general: the license, and the reason why it is here.
EXCEPTIONS = {
    "psycopg": ("LGPL-3.0-only", LIBRARY),
    "psycopg-binary": ("LGPL-3.0-only", LIBRARY),
    "psycopg-pool": ("LGPL-3.0-only", LIBRARY),
}
# The same for development alone.
DEVELOPMENT_EXCEPTIONS = {
    "djlint": ("GPL-3.0-or-later", "a program that checks templates in development: never imported, never shipped"),
    "catalyst-tracing": ("", "names no license: a test sends spans with it, as its users do; never shipped"),
}

# What packages without an SPDX expression write. "BSD License" alone does not say which one; all of them are allowed.
SPDX_IDS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def locked(lock: str) -> set[str]:
    """Names of the packages that this lock asks for on this system."""
    lines = [line for line in (ROOT / lock).read_text().splitlines() if line[:1].isalnum()]
    requirements = [Requirement(line.removesuffix("\\")) for line in lines]
    return {asked.name for asked in requirements if asked.marker is None or asked.marker.evaluate()}


def stated(about: PackageMetadata) -> Iterator[str]:
    """Everything that may name a license, the most exact first."""
    for field in ("License-Expression", "License", "Classifier"):
        for text in about.get_all(field) or []:
            yield text.removeprefix("License :: OSI Approved :: ")


def license_of(about: PackageMetadata) -> str:
    """The license as an SPDX expression, or nothing when it is not known."""
    for text in stated(about):
        try:
            return canonicalize_license_expression(SPDX_IDS.get(text, text))
        except InvalidLicenseExpression:
            continue
    return ""


def identifiers(expression: str) -> set[str]:
    return set(re.findall(r"[\w.-]+", expression)) - {"AND", "OR", "WITH"}


def test_it_depends_on_packages_with_a_fitting_license() -> None:
    exceptions = EXCEPTIONS | DEVELOPMENT_EXCEPTIONS
    for name in sorted(locked(RUNTIME) | locked(DEVELOPMENT)):
        license_ = license_of(metadata(name))
        if name in exceptions:
            assert license_ == exceptions[name][0], f"{name}: its exception was for another license: decide again"
        else:
            assert license_, f"{name} names no license that is known here: read its files, then extend SPDX_IDS"
            assert identifiers(license_) <= ALLOWED, f"{name} is {license_}: take another, or say why it is fine"


def test_it_makes_no_exception_for_packages_that_are_gone() -> None:
    assert set(EXCEPTIONS) <= locked(RUNTIME)
    assert set(DEVELOPMENT_EXCEPTIONS) <= locked(DEVELOPMENT)


def test_it_ships_nothing_that_is_allowed_in_development_alone() -> None:
    assert not set(DEVELOPMENT_EXCEPTIONS) & locked(RUNTIME)


@pytest.mark.parametrize("name", sorted(VENDORED))
def test_it_serves_files_with_a_fitting_license_beside_it(name: str) -> None:
    assert VENDORED[name]["license"] in ALLOWED
    assert (ROOT / "static" / "vendor" / VENDORED[name]["license_file"]).read_text()


def test_it_is_open() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    assert (ROOT / "LICENSE").read_text().split()[:4] == ["Apache", "License", "Version", "2.0,"]

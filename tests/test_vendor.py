"""Files of others are the ones they say they are."""

import hashlib
import tomllib
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "static" / "vendor"
LISTED = tomllib.loads((VENDOR / "VENDOR.toml").read_text())


def test_it_serves_vendored_files_unchanged() -> None:
    for name, about in LISTED.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == about["sha256"]
        assert about["version"] in name


def test_it_lists_every_vendored_file() -> None:
    licenses = {about["license_file"] for about in LISTED.values()}
    assert {path.name for path in VENDOR.iterdir()} == {*LISTED, *licenses, "VENDOR.toml"}

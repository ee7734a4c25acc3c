"""The Pythons of this machine; as a program, the newest that is newer than this one, or nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

THIS = "{}.{}".format(*sys.version_info[:2])


def other_pythons() -> dict[str, str]:
    """Every python3 of another minor version that this machine has, by version, the oldest first: {"3.6": path}."""
    found: dict[str, str] = {}
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    for path in sorted(root.glob("versions/3.*/bin/python3")):
        found[".".join(path.parts[-3].split(".")[:2])] = str(path)
    for minor in range(6, 30):
        kept = sorted(uv.glob(f"cpython-3.{minor}.*/bin/python3"))
        if path_found := shutil.which(f"python3.{minor}") or next(map(str, kept), None):
            found.setdefault(f"3.{minor}", path_found)
    found.pop(THIS, None)
    return dict(sorted(found.items(), key=lambda item: minor_of(item[0])))


def minor_of(version: str) -> int:
    """Return the minor number of a version: 11 of 3.11."""
    return int(version.split(".")[1])


def newer_python() -> str:
    """Return the path of the newest Python, if that is newer than this one; else ''."""
    newer = [path for version, path in other_pythons().items() if minor_of(version) > minor_of(THIS)]
    return next((path for path in reversed(newer) if _runs(path)), "")


def _runs(path: str) -> bool:
    """Say whether that is a Python that can be used: pyenv has programs for versions that it does not choose."""
    return subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


if __name__ == "__main__":
    print(newer_python())

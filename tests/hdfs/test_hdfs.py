"""Files on a real HDFS: what patterns find, where files are, and what is said when something is wrong with it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stratos_jupyter.backend.inputs import hdfs as hdfs_module
from stratos_jupyter.backend.inputs.filesystems import FileSystems
from stratos_jupyter.backend.inputs.hdfs import Hdfs as Client
from stratos_jupyter.backend.inputs.hdfs import Located, _located, plain_access
from stratos_jupyter.backend.inputs.hdfs_errors import explain
from stratos_jupyter.backend.spec.parse_hdfs import parse_mounts
from stratos_jupyter.errors import SpecError, StorageError
from tests.clusters.hdfs.cluster import BLOCK, Hdfs, put
from tests.support.filenames import AWKWARD
from tests.support.waiting import until

pytestmark = [pytest.mark.hdfs, pytest.mark.timeout(240)]

MOUNTS = parse_mounts("/dfs=/")


def make(hdfs: Hdfs, paths: Sequence[str]) -> None:
    """Make empty files, and directories of names that end with a slash."""
    from hdfs import InsecureClient

    client = InsecureClient(hdfs.url, timeout=30)

    def one(path: str) -> None:
        if path.endswith("/"):
            client.makedirs(path)
        else:
            client.write(path, data=b"", overwrite=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, paths))


def files(hdfs: Hdfs) -> FileSystems:
    return FileSystems(hdfs.url, MOUNTS)


# -- patterns ----------------------------------------------------------------------------------------------

TREE = [
    *("2023/a/snap_1", "2023/a/snap_2", "2023/b/snap_1", "2024/a/snap_1", "2024/a/.hidden", "2024/.old/snap_1"),
    *("2024/a/sub/deep/snap_9", "notes.txt", "[x]", "a*", "Zürich", "two words", "empty/", "2024/snap_0"),
]


@pytest.fixture
def same(hdfs: Hdfs, folder: str, tmp_path: Path) -> Path:
    """The same tree on HDFS and on this machine; returns the latter's root."""
    make(hdfs, [f"{folder}/{name}" for name in TREE])
    root = tmp_path / "same"
    for name in TREE:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return root


PATTERNS = [
    *("*", "*/", "20??/a/snap_*", "20*/*/snap_[12]", "20*/[!b]/*", "**", "**/", "**/snap_*", "2024/**/snap_9", ".*"),
    *("2024/.*/*", "[[]x]", "a[*]", "Z*", "* *", "2024/a/snap_1", "2024/a/", "2024/a/snap_1/", "nothing", "nothing/*"),
    *(
        "notes.txt/*",
        "20*/../notes.txt",
        "20{23,24}/[ab]/snap_{1..2}",
        "2024/[[:alpha:]]/*",
        "./*",
        "*/a/sub/deep/snap_9",
        "2024/nothing/../*",
        "empty/*",
        "empty/**",
        "*/**",
    ),
]


def test_patterns_find_there_what_they_find_here(hdfs: Hdfs, folder: str, same: Path) -> None:
    for pattern in PATTERNS:
        said = []
        for root in (f"/dfs{folder}", str(same)):
            try:
                said.append([name.replace(root, "", 1) for name in files(hdfs).expand(f"{root}/{pattern}")])
            except SpecError:
                said.append([])
        assert said[0] == said[1], pattern
    assert files(hdfs).expand("20{24,23}/a/snap_*", f"/dfs{folder}") == [
        f"{name}/a/snap_1" for name in ("2024", "2023")
    ] + ["2023/a/snap_2"]


def test_a_directory_is_read_as_hadoops_own_jobs_read_it(
    hdfs: Hdfs, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = [
        "_SUCCESS",
        "_temporary/0/part-9",
        "part-10",
        "part-9",
        ".part-9.crc",
        "_own",
        "x._COPYING_",
        "deep/part-1",
    ]
    make(hdfs, [f"{folder}/out/{name}" for name in names])
    both = files(hdfs)
    for pattern in ("*", "[^_]*", "[!_]*", "{part,nothing}*", "part-{9,10}"):
        assert both.expand(f"hdfs:{folder}/out/{pattern}") == [f"hdfs:{folder}/out/part-{n}" for n in (9, 10)]
    assert "_own; HDFS's own tools hide names that begin with _" in caplog.text
    assert "out/deep, directories beside files" in caplog.text
    assert "_SUCCESS" not in caplog.text
    assert both.expand(f"hdfs:{folder}/out/**/part-*")[-1] == f"hdfs:{folder}/out/part-10"
    assert both.expand(f"hdfs:{folder}/out/_S*") == [f"hdfs:{folder}/out/_SUCCESS"]
    assert both.expand(f"hdfs:{folder}/out/*/", files_only=False) == [f"hdfs:{folder}/out/deep/"]
    with pytest.raises(SpecError, match=r"a directory is not copied; for the files in it write hdfs:.*/out/deep/\*"):
        both.expand(f"hdfs:{folder}/out/de*", files_only=True)
    with pytest.raises(SpecError, match="names that begin with _ are found only when the pattern begins so"):
        both.expand(f"hdfs:{folder}/out/*SUCC*")


@pytest.mark.parametrize(
    "end", ["/", "/webhdfs/v1", "/webhdfs/v1/", "/webhdfs/v1/tmp?op=LISTSTATUS", "/explorer.html#/tmp"]
)
def test_an_address_is_known_however_it_was_copied(hdfs: Hdfs, folder: str, config: Path, end: str) -> None:
    make(hdfs, [f"{folder}/one"])
    config.write_text(f"[copied.alias]\nurl = {hdfs.url}{end}\n")
    for name in (
        hdfs.url + end,
        hdfs.url.replace("http:", "webhdfs:") + end,
        hdfs.url[len("http://") :] + end,
        "copied",
    ):
        assert FileSystems(name).expand(f"hdfs:{folder}/*") == [f"hdfs:{folder}/one"]
        assert plain_access(name)[1:] == (hdfs.url,)


def test_a_namenode_that_is_started_again_is_waited_for(breakable_hdfs: Hdfs, folder: str) -> None:
    make(breakable_hdfs, [f"{folder}/one"])
    both = files(breakable_hdfs)
    assert both.expand(f"hdfs:{folder}/*") == [f"hdfs:{folder}/one"]
    breakable_hdfs.kill("namenode")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(both.expand, f"hdfs:{folder}/on*")
        breakable_hdfs.start_namenode()
        assert asked.result(90) == [f"hdfs:{folder}/one"]


def test_a_pattern_comes_back_as_it_was_written(hdfs: Hdfs, folder: str, same: Path) -> None:
    both = files(hdfs)
    for prefix in (f"/dfs{folder}", f"hdfs:{folder}", f"{hdfs.rpc}{folder}", f"hdfs://{folder}"):
        assert both.expand(f"{prefix}/2023/a/*") == [f"{prefix}/2023/a/snap_1", f"{prefix}/2023/a/snap_2"]
    assert both.expand("2023/a/*", f"/dfs{folder}") == ["2023/a/snap_1", "2023/a/snap_2"]
    assert both.expand("*/a/*_2", f"/dfs{folder}") == ["2023/a/snap_2"]
    assert both.expand("*/a/*_2", f"/dfs{folder}", absolute=True) == [f"/dfs{folder}/2023/a/snap_2"]
    assert both.expand(f"hdfs:{folder}/*/a/*_2", absolute=True) == [f"hdfs:{folder}/2023/a/snap_2"]
    assert both.expand("*/a/*_2", str(same), absolute=True) == [f"{same}/2023/a/snap_2"]


def test_other_patterns_are_this_machines_and_nobody_is_asked(same: Path) -> None:
    nowhere = FileSystems("http://127.0.0.1:9", MOUNTS)
    assert nowhere.expand(f"{same}/2023/a/*_1") == [f"{same}/2023/a/snap_1"]
    assert nowhere.expand("2023/a/*_1", str(same)) == ["2023/a/snap_1"]
    assert FileSystems("", MOUNTS).expand("2023/a/*_1", str(same)) == ["2023/a/snap_1"]


def test_awkward_names_are_found_and_located(hdfs: Hdfs, folder: str) -> None:
    names = [name for name in AWKWARD if _possible(name)]
    assert len(names) > 5
    for name in names:
        put(hdfs.url, f"{folder}/{name}", b"x" * 10)
    found = files(hdfs).expand(f"hdfs:{folder}/*")
    assert sorted(found) == sorted(f"hdfs:{folder}/{name}" for name in names)
    client = Client(hdfs.url)
    assert [client.locate(name.removeprefix("hdfs:")).size for name in found] == [10] * len(names)


def _possible(name: str) -> bool:
    """HDFS has no colons in names, and all of them are UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return ":" not in name and "/" not in name


def test_nothing_found_says_where_it_was_looked_for(hdfs: Hdfs, folder: str) -> None:
    with pytest.raises(SpecError, match=rf"no file matches '/dfs{folder}/x\*' on HDFS {hdfs.url}"):
        files(hdfs).expand(f"/dfs{folder}/x*")


@pytest.mark.slow
def test_very_many_files_in_a_directory(hdfs: Hdfs, folder: str) -> None:
    hdfs.make_files(folder, 10_000)
    begun_s = time.monotonic()
    found = files(hdfs).expand(f"/dfs{folder}/snap_*")
    took_s = time.monotonic() - begun_s
    assert (len(found), found[0], found[-1]) == (10_000, f"/dfs{folder}/snap_000000", f"/dfs{folder}/snap_009999")
    assert took_s < 5


# -- places ------------------------------------------------------------------------------------------------


def test_hosts_come_with_their_addresses() -> None:
    newer = {
        "length": 7,
        "hosts": ["dn1.lab", "10.0.0.2", "dn3"],
        "names": ["10.0.0.1:9866", "10.0.0.2:9866", "[::3]:9866"],
    }
    found = {
        "BlockLocations": {"BlockLocation": [newer, {"length": 1, "hosts": ["dn1.lab"], "names": ["10.0.0.1:9866"]}]}
    }
    hosts = (("dn1.lab/10.0.0.1", 8), ("10.0.0.2", 7), ("dn3/::3", 7))
    assert _located(found) == Located(8, hosts)
    nodes = [("dn1.lab", "10.0.0.1"), ("10.0.0.2", "10.0.0.2"), ("dn3", "::3")]
    older = {
        "block": {"numBytes": 7},
        "locations": [{"hostName": name, "ipAddr": address} for name, address in nodes],
    }
    last = {"block": {"numBytes": 1}, "locations": older["locations"][:1]}  # type: ignore[index]
    assert _located({"LocatedBlocks": {"locatedBlocks": [older, last]}}) == Located(8, hosts)
    without = {"BlockLocations": {"BlockLocation": [{"length": 7, "hosts": ["dn1.lab"]}]}}
    assert _located(without) == Located(7, (("dn1.lab", 7),))


def test_bytes_are_counted_by_host(hdfs: Hdfs, folder: str) -> None:
    put(hdfs.url, f"{folder}/one", b"x" * 2_500_000, "127.0.0.12")
    put(hdfs.url, f"{folder}/empty", b"")
    client = Client(hdfs.url)
    assert client.locate(f"{folder}/one") == Located(2_500_000, (("127.0.0.12", 2_500_000),))
    assert client.locate(f"{folder}/empty") == Located()
    for i, address in enumerate(("127.0.0.11", "127.0.0.13")):
        put(hdfs.url, f"{folder}/part{i}", b"x" * (BLOCK * (i + 1)), address)
    concat(hdfs, f"{folder}/part0", [f"{folder}/part1"])
    assert client.locate(f"{folder}/part0") == Located(3 * BLOCK, (("127.0.0.13", 2 * BLOCK), ("127.0.0.11", BLOCK)))
    put(hdfs.url, f"{folder}/twice", b"x" * 100, replication=2)
    # the second replica may be reported a moment after the file is complete
    until(lambda: len(client.locate(f"{folder}/twice").hosts) == 2)
    twice = client.locate(f"{folder}/twice")
    assert twice.size == 100
    assert [share for _, share in twice.hosts] == [100, 100]


def concat(hdfs: Hdfs, path: str, others: Sequence[str]) -> None:
    connection = http.client.HTTPConnection(hdfs.namenode, hdfs.http_port, timeout=30)
    connection.request("POST", f"/webhdfs/v1{path}?op=CONCAT&user.name=root&sources={','.join(others)}")
    assert connection.getresponse().status == 200
    connection.close()


class Older(BaseHTTPRequestHandler):
    """Stands before a NameNode and refuses what older or stricter servers refuse, in their words."""

    refused: Sequence[str]
    exception: str
    target: tuple[str, int]
    asked: list[str]
    status = 400
    words = 'Invalid value for webhdfs parameter "op": No enum constant {}'

    def do_GET(self) -> None:
        operation = self.path.partition("op=")[2].partition("&")[0]
        self.asked.append(operation)
        if operation in self.refused:
            said = {"exception": self.exception, "message": self.words.format(operation)}
            status, body = self.status, json.dumps({"RemoteException": said}).encode()
        else:
            connection = http.client.HTTPConnection(*self.target, timeout=30)
            connection.request("GET", self.path)
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
            connection.close()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def older(hdfs: Hdfs, request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    names = ("refused", "exception", "status", "words")
    asked: list[str] = []
    values: dict[str, Any] = {"target": (hdfs.namenode, hdfs.http_port), "asked": asked}
    values.update(zip(names, request.param, strict=False))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Older,), values))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


NEW, OLD = "GETFILEBLOCKLOCATIONS", "GET_BLOCK_LOCATIONS"


@pytest.mark.parametrize("older", [((NEW,), "IllegalArgumentException")], indirect=True)
def test_hadoop_2_is_asked_in_its_own_way(hdfs: Hdfs, folder: str, older: tuple[str, list[str]]) -> None:
    put(hdfs.url, f"{folder}/one", b"x" * 1_500_000, "127.0.0.11")
    url, asked = older
    client = Client(url)
    for _ in range(2):
        assert client.locate(f"{folder}/one") == Located(1_500_000, (("127.0.0.11", 1_500_000),))
    assert asked == [NEW, OLD, OLD]


@pytest.mark.parametrize("older", [((NEW, OLD), "QueryParamException")], indirect=True)
def test_an_old_httpfs_knows_no_places_and_is_not_asked_again(
    hdfs: Hdfs, folder: str, older: tuple[str, list[str]]
) -> None:
    put(hdfs.url, f"{folder}/one", b"x")
    url, asked = older
    client = Client(url)
    assert [client.locate(f"{folder}/one") for _ in range(3)] == [Located()] * 3
    assert asked == [NEW, OLD]
    assert FileSystems(url).expand(f"hdfs:{folder}/*") == [f"hdfs:{folder}/one"]


# -- who is asked ------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file of aliases."""
    path = tmp_path / "hdfscli.cfg"
    monkeypatch.setenv("HDFSCLI_CONFIG", str(path))
    return path


def test_an_alias_is_looked_up(hdfs: Hdfs, folder: str, config: Path) -> None:
    make(hdfs, [f"{folder}/one"])
    config.write_text(f"[dev.alias]\nurl = {hdfs.url}\n[slow.alias]\nurl = {hdfs.url}\ntimeout = 3,7\n")
    assert FileSystems("dev").expand(f"hdfs:{folder}/*") == [f"hdfs:{folder}/one"]
    assert Client("slow")._client._timeout == (3, 7)
    assert Client("dev")._client._timeout is not None


def test_an_address_that_stands_twice_is_asked_once(config: Path) -> None:
    twice = "http://127.0.0.1:9;http://127.0.0.1:9"
    config.write_text(f"[twice.alias]\nurl = {twice}\n")
    for name in (twice, "127.0.0.1:9;http://127.0.0.1:9", "twice"):
        client = Client(name)
        assert list(client._client._urls) == ["http://127.0.0.1:9"]
        with pytest.raises(StorageError, match="cannot be reached"):
            client.look("/a")


def test_an_alias_that_does_not_exist_is_said_with_those_that_do(config: Path) -> None:
    config.write_text("[dev.alias]\nurl = http://a:1\n[prod.alias]\nurl = http://b:1\n")
    with pytest.raises(StorageError, match=rf"there is no alias 'dve' in {config}; there is dev, prod"):
        Client("dve")
    config.unlink()
    with pytest.raises(StorageError, match=f"there is no alias 'dve' in {config}"):
        Client("dve")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x.alias]\nclient = TokenClient\nurl = http://a:1\n", "are not those that its client takes"),
        ("[x.alias]\nurl = http://a:1\ntoken = secret-3\n", "are not those that its client takes"),
        ("[x.alias]\nclient = NoClient\nurl = http://a:1\n", "NoClient"),
        ("no section\n", "~/.hdfscli.cfg right|Invalid configuration"),
        ("[global]\nautoload.modules = not_there_at_all\n[x.alias]\nurl = http://a:1\n", "autoload that cannot be"),
    ],
)
def test_what_is_wrong_with_a_config_is_said(config: Path, text: str, message: str) -> None:
    config.write_text(text)
    with pytest.raises(StorageError, match=message):
        Client("x")


def test_a_token_among_wrong_options_is_not_shown(config: Path) -> None:
    config.write_text("[x.alias]\nurl = http://a:1\ntoken = secret-3\n")
    with pytest.raises(StorageError) as raised:
        Client("x")
    assert "secret" not in str(raised.value)


def test_kerberos_without_its_package_says_what_to_install(config: Path) -> None:
    try:
        import requests_kerberos  # noqa: F401
    except ImportError:
        config.write_text("[x.alias]\nclient = KerberosClient\nurl = http://a:1\n")
        with pytest.raises(StorageError, match=r"pip install 'hdfs\[kerberos\]'"):
            Client("x")
    else:
        pytest.skip("requests_kerberos is there")


@pytest.mark.parametrize("name", ["hdfs://nn:8020", "ftp://nn", "http://"])
def test_an_address_that_is_none_of_webhdfs_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="write http://HOST:9870"):
        Client(name)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(SpecError, match="no user or password here") as raised:
        Client("http://me:secret-1@nn:9870")
    assert "secret" not in str(raised.value)


def test_an_alias_that_is_put_right_is_read_again(hdfs: Hdfs, folder: str, config: Path) -> None:
    make(hdfs, [f"{folder}/one"])
    both = FileSystems("dev")
    config.write_text("[dev.alias]\nurl = 127.0.0.1:9\n")
    with pytest.raises(StorageError, match=r"its url in .* is none; write http://HOST:9870"):
        both.expand(f"hdfs:{folder}/*")
    config.write_text(f"[dev.alias]\nurl = {hdfs.url}\n")
    assert both.expand(f"hdfs:{folder}/*") == [f"hdfs:{folder}/one"]


def test_of_two_namenodes_one_may_be_down(hdfs: Hdfs, folder: str) -> None:
    put(hdfs.url, f"{folder}/one", b"x", "127.0.0.13")
    both = FileSystems(f"127.0.0.1:9;{hdfs.url}", MOUNTS)
    assert both.expand(f"/dfs{folder}/*") == [f"/dfs{folder}/one"]
    assert both.connect().locate(f"{folder}/one").hosts == (("127.0.0.13", 1),)


def test_a_token_is_sent_and_never_shown(
    hdfs: Hdfs, folder: str, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(hdfs, [f"{folder}/one"])
    token = token_of(hdfs)
    config.write_text(f"[tok.alias]\nclient = TokenClient\nurl = {hdfs.url}\ntoken = {token}\n")
    assert FileSystems("tok").expand(f"hdfs:{folder}/*") == [f"hdfs:{folder}/one"]
    config.write_text(f"[tok.alias]\nclient = TokenClient\nurl = http://127.0.0.1:9\ntoken = {token}\n")
    with pytest.raises(StorageError, match="cannot be reached") as unreachable:
        FileSystems("tok").expand(f"hdfs:{folder}/*")
    assert token not in f"{unreachable.value}{caplog.text}"


# What a server says that checks tickets and tokens, which takes Kerberos: this one is made to say it.
EXPIRED = (
    "Failed to obtain user group information: org.apache.hadoop.security.token.SecretManager$InvalidToken: expired"
)


@pytest.mark.parametrize("older", [(("LISTSTATUS",), "SecurityException", 403, EXPIRED)], indirect=True)
def test_a_token_that_has_expired_is_said(older: tuple[str, list[str]]) -> None:
    with pytest.raises(StorageError, match="token of its alias has expired, or is not known") as raised:
        FileSystems(older[0]).expand("hdfs:/x*")
    assert not raised.value.path


@pytest.mark.parametrize("older", [(("LISTSTATUS",), "AuthenticationException", 401, "Negotiate")], indirect=True)
def test_a_ticket_that_has_expired_is_said(older: tuple[str, list[str]]) -> None:
    with pytest.raises(StorageError, match=r"no valid Kerberos ticket.* run kinit") as raised:
        FileSystems(older[0]).expand("hdfs:/x*")
    assert not raised.value.path


def token_of(hdfs: Hdfs) -> str:
    answer = request(hdfs, "GET", "/?op=GETDELEGATIONTOKEN&user.name=root&renewer=root")
    return str(json.loads(answer)["Token"]["urlString"])


def request(hdfs: Hdfs, method: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(hdfs.namenode, hdfs.http_port, timeout=30)
    connection.request(method, f"/webhdfs/v1{path}")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return body


# -- trouble -----------------------------------------------------------------------------------------------


def test_a_path_in_a_refusal_is_not_what_was_refused() -> None:
    from hdfs import HdfsError

    def refused(what: str) -> StorageError:
        return explain(HdfsError(f"wrong: {what}", exception="IllegalArgumentException"), "nn", "/tmp/operations")

    assert refused("op=GETFILEBLOCKLOCATIONS").unknown_operation
    assert not refused("/tmp/operations").unknown_operation


def test_permission_denied_is_said_in_hdfs_own_words(
    hdfs: Hdfs, folder: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from hdfs import InsecureClient

    make(hdfs, [f"{folder}/open/one", f"{folder}/secret/two"])
    InsecureClient(hdfs.url).set_permission(f"{folder}/secret", "700")
    monkeypatch.setenv("HADOOP_USER_NAME", "alice")
    with pytest.raises(StorageError, match=r"Permission denied: user=alice, .*secret"):
        files(hdfs).expand(f"/dfs{folder}/secret/*")
    assert files(hdfs).expand(f"/dfs{folder}/*/*") == [f"/dfs{folder}/open/one"]
    assert "left out" in caplog.text
    assert "user=alice" in caplog.text
    with pytest.raises(StorageError, match="Permission denied") as raised:
        Client(hdfs.url).locate(f"{folder}/secret/two")
    assert raised.value.path == f"{folder}/secret/two"


def test_a_file_that_is_gone_is_nowhere(hdfs: Hdfs, folder: str) -> None:
    with pytest.raises(StorageError, match=f"{folder}/gone does not exist") as raised:
        Client(hdfs.url).locate(f"{folder}/gone")
    assert raised.value.absent


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("http://127.0.0.1:9", r"cannot be reached \(connection refused\)"),
        ("http://no-such-host.invalid:9870", r"cannot be reached \(.*no host of that name"),
    ],
)
def test_a_namenode_that_is_down(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdfs_module, "UNKNOWN_S", 0.5)
    with pytest.raises(StorageError, match=message) as raised:
        FileSystems(name).expand("hdfs:/x*")
    assert not raised.value.path


def test_the_address_that_programs_use_is_not_webhdfs(hdfs: Hdfs) -> None:
    with pytest.raises(StorageError, match="not as WebHDFS does"):
        FileSystems(f"http://{hdfs.namenode}:{hdfs.rpc_port}").expand("hdfs:/x*")


def test_a_namenode_that_hangs_is_not_waited_for_without_end(breakable_hdfs: Hdfs, folder: str, config: Path) -> None:
    config.write_text(f"[short.alias]\nurl = {breakable_hdfs.url}\ntimeout = 1\n")
    breakable_hdfs.pause("namenode")
    with pytest.raises(StorageError, match="does not answer in time"):
        FileSystems("short").expand(f"hdfs:{folder}/*")


def test_safe_mode_reads_and_a_start_in_it_is_said(breakable_hdfs: Hdfs, folder: str) -> None:
    put(breakable_hdfs.url, f"{folder}/one", b"x")
    breakable_hdfs.admin("-safemode", "enter")
    try:
        assert FileSystems(breakable_hdfs.url).expand(f"hdfs:{folder}/*") == [f"hdfs:{folder}/one"]
        assert Client(breakable_hdfs.url).locate(f"{folder}/one").size == 1
    finally:
        breakable_hdfs.admin("-safemode", "leave")


def test_nothing_says_which_hdfs() -> None:
    with pytest.raises(StorageError, match=r"which HDFS.*--hdfs"):
        FileSystems().expand("hdfs:/x*")

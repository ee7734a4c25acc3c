"""What goes wrong with HDFS, in words: what it is, and what to do about it.

Nothing of a request is ever shown: an error of the HTTP library has the whole address in its text, and with it a token.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Final

from ...errors import StorageError

INSTALL: Final = "HDFS needs the package hdfs: pip install 'stratos_jupyter[hdfs]'"
INSTALL_KERBEROS: Final = "an alias with client = KerberosClient needs requests_kerberos: pip install 'hdfs[kerberos]'"
#: of WebHDFS's exceptions, those that say that a path is not what it should be, or not there
_ABSENT: Final = ("FileNotFoundException", "ParentNotDirectoryException", "NotDirectoryException")
_UNKNOWN: Final = ("IllegalArgumentException", "QueryParamException", "UnsupportedOperationException")
_TOKEN: Final = ("InvalidToken", "SecretManager$InvalidToken", "SecretManager.InvalidToken")
_NO_HOST: Final = "no host of that name is known"
#: how much is shown of what a server says
SHOWN: Final = 300


def explain(error: BaseException, name: str, path: str = "") -> StorageError:
    """Return what is to be said about an error that asking for `path` on the HDFS `name` raised."""
    kind = type(error).__name__
    if isinstance(error, ImportError):
        kerberos = "kerberos" in str(error.name or error) or "gssapi" in str(error.name or error)
        return StorageError(INSTALL_KERBEROS if kerberos else INSTALL)
    if isinstance(error, SystemExit):
        return StorageError(f"{name}: ~/.hdfscli.cfg names a module in autoload that cannot be imported; correct it")
    if kind == "HdfsError":
        return _refused(error, name, path)
    if kind in ("ConnectTimeout", "ReadTimeout", "Timeout"):
        return StorageError(f"HDFS {name} does not answer in time; is its NameNode overloaded, or out of reach?")
    if kind == "SSLError":
        return StorageError(f"HDFS {name}: its certificate is not trusted, or it does not speak https at that address")
    if kind in ("ConnectionError", "ProxyError", "ChunkedEncodingError"):
        why = _why(error)
        return StorageError(
            f"HDFS {name} cannot be reached ({why}); is its NameNode up, and is this the address of its "
            "WebHDFS, as http://HOST:9870?",
            passing=kind != "ProxyError" and why != _NO_HOST,
        )
    if kind in ("MissingSchema", "InvalidSchema", "InvalidURL"):
        return StorageError(f"HDFS {name}: its url in ~/.hdfscli.cfg is none; write http://HOST:9870")
    if "Kerberos" in kind or "GSS" in kind or "MutualAuth" in kind:
        return _ticket(name)
    if isinstance(error, UnicodeError):
        return StorageError(f"{path!r} is not UTF-8, as all names on HDFS are", path=path)
    if isinstance(error, (KeyError, TypeError, ValueError)) and path:
        return StorageError(f"HDFS {name} answers, but not as WebHDFS does; {_address()}")
    return StorageError(f"HDFS {name}: {kind}; is its section in ~/.hdfscli.cfg right?")


def _refused(error: Any, name: str, path: str) -> StorageError:
    """Return what a server's refusal means."""
    exception = str(error.exception or "").rpartition(".")[2]
    message = error.message
    if not isinstance(message, str):
        return StorageError(f"HDFS {name} answers, but not as WebHDFS does; {_address()}")
    asked = message.replace(path, "") if path else message
    if exception in _UNKNOWN and ("op" in asked or "peration" in asked):
        return StorageError(f"HDFS {name}: {message[:SHOWN]}", path=path, unknown_operation=True)
    if exception in _ABSENT or message.rstrip(".)").endswith("is not a directory"):
        return StorageError(f"{path} does not exist on HDFS {name}", path=path, absent=True)
    if exception == "StandbyException":
        return StorageError(
            f"HDFS {name}: none of its NameNodes is active; name all of them, as nn1:9870;nn2:9870", passing=True
        )
    if exception == "SafeModeException" or "safe mode" in message:
        return StorageError(f"HDFS {name} is in safe mode: {_shown(message)}; it ends by itself once it is up, or ask "
                            "its operators: hdfs dfsadmin -safemode get", passing=True)  # fmt: skip
    if exception == "RetriableException":
        return StorageError(f"HDFS {name} is not ready: {_shown(message)}", passing=True)
    if exception in _TOKEN or "InvalidToken" in message:
        return StorageError(f"HDFS {name}: the token of its alias has expired, or is not known; get a new one")
    if message.startswith("Authentication failure"):
        return _ticket(name)
    if exception in ("SecurityException", "AuthorizationException"):
        return StorageError(f"HDFS {name}: {_shown(message)}")
    if message.startswith("Invalid options"):  # it goes on with all of them, and a token may be one
        return StorageError(f"the options of the alias {name} in ~/.hdfscli.cfg are not those that its client takes")
    if not exception:
        return StorageError(_shown(message))
    return StorageError(f"HDFS {name}: {_shown(message)}", path=path)


def _ticket(name: str) -> StorageError:
    return StorageError(
        f"HDFS {name} does not know who asks: there is no valid Kerberos ticket, or the alias is of the wrong kind; "
        "run kinit (klist shows what there is), and try again"
    )


def _address() -> str:
    return "write the address of its WebHDFS, as http://HOST:9870, not the one that programs use"


def _shown(message: str) -> str:
    first = message.strip().partition("\n")[0]
    return first if len(first) <= SHOWN else first[: SHOWN - 1] + "…"


def _why(error: BaseException) -> str:
    """Return in a few words why a connection failed."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror) or type(cause).__name__ == "NameResolutionError":
            return _NO_HOST
        if isinstance(cause, OSError) and cause.strerror and cause.errno is not None:
            return cause.strerror.lower()
    return "the connection ended"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that are behind it."""
    seen: set[int] = set()
    rest: list[Any] = [error]
    while rest:
        one = rest.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            rest += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]

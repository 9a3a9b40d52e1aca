"""Object stores as they are named and reached: addresses, settings from the environment, refusals in one line.

Credentials come from the environment alone, by the names that each provider's own tools use, and stand in no message.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from embedstore.errors import InputError, MissingExtraError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION; AWS_ENDPOINT_URL for a server of your own)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or AZURE_STORAGE_SAS_TOKEN)",
}
"""By scheme, what to set."""
ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""By scheme, variables that name a server other than the provider's."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CONNECT_S, REQUEST_S, RETRIES, RETRY_S = 5, 60, 6, 60
"""Seconds to connect, seconds for one request, how often it is tried again, and for how many seconds."""
_NO_CREDENTIALS = re.compile(
    r"169\.254\.|metadata\.google|metadata/identity|no providers in chain|Missing (?:AccessKeyId|SecretAccessKey)"
)
"""What is said where none are set: the machine's own are asked for last, at these addresses."""
_URI = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):(/+)(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """Where in an object store a store lies.

    Parameters
    ----------
    scheme
        ``s3``, ``gs`` or ``az``.
    bucket
        The bucket, or Azure's container.
    prefix
        What all names begin with, without slashes at its ends; may be empty.
    """

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def endpoint(self) -> str:
        """The server that the environment names, "" for the provider's own."""
        names = ENDPOINTS.get(self.scheme, ())
        return next((os.environ[name] for name in names if os.environ.get(name)), "")

    @property
    def _plain_http(self) -> bool:
        """Whether the server is on this machine and speaks plain HTTP, which is refused elsewhere unless asked for."""
        parts = urlsplit(self.endpoint)
        return parts.scheme == "http" and parts.hostname in LOOPBACK

    def connect(self) -> Any:
        """Return obstore's store of this address.

        Raises
        ------
        MissingExtraError
            If obstore is not installed.
        StorageError
            If the environment's settings make no sense.
        """
        try:
            from obstore.store import from_url  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError(
                f"{self} lies in an object store; run `pip install 'embedstore[remote]'` to reach it."
            ) from error
        connect: Any = from_url  # its overloads ask for the scheme's own settings
        client = {"connect_timeout": f"{CONNECT_S}s", "timeout": f"{REQUEST_S}s"}
        if self._plain_http:
            client["allow_http"] = "true"
        retry = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)}
        with refusals("reach", self):
            return connect(str(self), client_options=client, retry_config=retry)

    def delta_options(self) -> dict[str, str]:
        """Return what deltalake needs beside the environment: S3 commits by conditional put, as its own page says.

        See https://delta-io.github.io/delta-rs/usage/writing/writing-to-s3-with-locking-provider.
        """
        options = {
            "connect_timeout": f"{CONNECT_S}s",
            "timeout": f"{REQUEST_S}s",
            "max_retries": str(RETRIES),
            "retry_timeout": f"{RETRY_S}s",
        }
        if self._plain_http:
            options["allow_http"] = "true"
        if self.scheme == "s3":
            options["conditional_put"] = "etag"
            # else the region is asked of the machine's metadata, which takes seconds where there is none
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            options["aws_region"] = region or "us-east-1"
        return options


def parse(path: str | Path) -> Address | Path:
    """Return where a store's path leads: into an object store, or to a folder.

    Parameters
    ----------
    path
        A folder, ``file:///folder``, ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``. A URI
        that went through :class:`pathlib.Path` and lost a slash on the way is understood too.

    Raises
    ------
    InputError
        If it is another kind of URI, or names no bucket, or holds credentials.
    """
    found = _URI.match(str(path))
    if not found or (len(found[2]) == 1 and found[1] not in {*CREDENTIALS, "file"}):
        return Path(path).absolute()
    scheme, rest = found[1].lower(), found[3]
    if scheme == "file":
        host, _, local = rest.partition("/") if len(found[2]) == 2 else ("", "", rest)
        if host not in {"", "localhost"}:
            raise InputError(f"the store file://{host}/… is on another machine; write file:///folder.")
        return Path(unquote(f"/{local}")).absolute()
    if scheme not in CREDENTIALS:
        raise InputError(f"a store's URI begins with s3://, gs://, az:// or file://, not {scheme}://.")
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or "?" in rest or "#" in rest:
        raise InputError(
            f"the URI of a store is {scheme}://bucket/folder and nothing else; credentials come from the "
            f"environment: set {CREDENTIALS[scheme]}."
        )
    parts = [part for part in prefix.split("/") if part]
    if not bucket or {".", ".."} & set(parts):
        raise InputError(f"{scheme}://{rest} names no place; write {scheme}://bucket/folder.")
    return Address(scheme, bucket, "/".join(parts))


@contextmanager
def refusals(doing: str, where: object) -> Iterator[None]:
    """Turn what an object store refuses into one :class:`StorageError`; a name that is not there passes through.

    Parameters
    ----------
    doing
        What was tried, as it reads after "could not".
    where
        The address.
    """
    from obstore.exceptions import BaseError  # noqa: PLC0415

    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise StorageError(f"could not {doing} {where}: {why(error, where)}") from error


def why(error: Exception, where: object) -> str:
    """Return an object store's or deltalake's error as one sentence that says what to do, without secrets."""
    said = plain(error)
    scheme = str(where).partition(":")[0]
    names = CREDENTIALS.get(scheme)
    if not names:
        return f"{said}."
    text = str(error)
    if _NO_CREDENTIALS.search(text):
        return f"no credentials were found. Set {names}."
    if re.search(r"\b(401|403)\b|PermissionDenied|Unauthenticated|privileges|AccessDenied|InvalidAccessKey", text):
        return f"the credentials were refused ({said}). Check {names}."
    if "NoSuchBucket" in text:
        return "there is no such bucket. Make it, or check the name and the endpoint."
    return f"{said}. Check the network and the endpoint, and run the same command again."


def plain(error: Exception) -> str:
    """Return the message of a library in Rust, which comes in colours and on many lines, as one line."""
    text = re.split(r"Debug source|\n?\s*0: <unknown>", str(error))[0]
    text = re.sub(r"\x1b\[[0-9;]*m|↳", "", text)
    text = re.sub(r"<\?xml.*?<Code>(.*?)</Code>.*", r"\1", text, flags=re.DOTALL)
    text = re.sub(r"(?<=\S)\?\S*", "", text)  # after a question mark may stand a signature
    return " ".join(text.split()).rstrip(".: ")

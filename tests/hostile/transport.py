"""Headers, keys and framing: what is wrong before there is a question."""

from __future__ import annotations

from tests.hostile.case import GONE, JSON, READER, WRITER, C, Case

HEAD = f"Connection: close\r\nX-API-Key: {WRITER}\r\n".encode()
HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /collections HTTP/1.1\r\n"
POST = b"POST " + C.encode() + b"/sql HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST + HEAD
UPLOAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def _keys() -> tuple[Case, ...]:
    """Requests that nobody may make, or not with this key."""
    tried: dict[str, tuple[tuple[str, str], ...]] = {
        "no key": (),
        "a key that is none": (("X-API-Key", "x" * 32),),
        "a key that has ended": (("X-API-Key", GONE),),
        "a key and more": (("X-API-Key", WRITER + "w"),),
        "a key but its end": (("X-API-Key", WRITER[:-1]),),
        "a key in capitals": (("X-API-Key", WRITER.upper()),),
        "two keys, the first of which is wrong": (("X-API-Key", "x"), ("X-API-Key", WRITER)),
        "a key by another scheme": (("Authorization", f"Basic {WRITER}"),),
        "a key without a scheme": (("Authorization", WRITER),),
        "a scheme without a key": (("Authorization", "Bearer"),),
        "a wrong bearer beside a right key": (("Authorization", "Bearer x"), ("X-API-Key", WRITER)),
        "a key of bytes that are no text": (("X-API-Key", "\xff\xfe" * 16),),
        "a key that SQL would run": (("X-API-Key", "' OR '1'='1"),),
        "a very long key": (("X-API-Key", "k" * 30_000),),
        "a key in a cookie": (("Cookie", f"key={WRITER}"),),
    }
    return tuple(Case(name, 401, path="/collections", headers=held, key=None) for name, held in tried.items())


KEYS = (
    *_keys(),
    Case("a key in the query", 401, path=f"/collections?key={WRITER}&X-API-Key={WRITER}", key=None),
    Case("a key that reads starts a job", 403, "POST", f"{C}/classify", b'{"labels": {"@id": "a"}}', JSON, READER),
    Case("a page that needs a key by way of the map's files", 404, path="/assets/../collections", key=None),
    Case("a page that needs a key with another slash", 401, path="//healthz", key=None),
    Case("a page that needs a key under another name", 401, path="/healthz%2f..%2fcollections", key=None),
    Case("an upgrade past the gate", 401, path="/collections", key=None, headers=(("Upgrade", "h2c"),)),
)

SIZES = (
    Case("a body that says it is enormous", 413, "POST", f"{C}/sql", headers=(("Content-Length", "1" + "0" * 18),)),
    Case("an upload that says it is enormous", 413, "POST", f"{C}/search",
         headers=(("Content-Type", "multipart/form-data; boundary=x"), ("Content-Length", "1" + "0" * 18))),
    Case("an enormous body that asks first", 413, "POST", f"{C}/sql",
         headers=(("Expect", "100-continue"), ("Content-Length", "5000000"))),
    Case("a body in chunks that does not end", 413,
         raw=CHUNKED + b"10000\r\n" + b" " * 65536 + b"\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 80),
    Case("an upload in chunks that does not end", 413,
         raw=(b"POST " + C.encode() + b"/search HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n" + HOST
              + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
              + b"%x\r\n%s\r\n" % (len(UPLOAD), UPLOAD)
              + (b"100000\r\n" + b" " * (1 << 20) + b"\r\n") * 66)),
)  # fmt: skip

FRAMING = tuple(
    Case(name, 400, raw=raw, parsed=False)
    for name, raw in {
        "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n",
        "HTTP of the past": b"GET /\r\n\r\n",
        "no host": GET + HEAD + b"\r\n",
        "two hosts": GET + HOST + b"Host: example.org\r\n" + HEAD + b"\r\n",
        "a header without a colon": GET + HOST + HEAD + b"nonsense\r\n\r\n",
        "a space before the colon": GET + HOST + HEAD + b"X-A : b\r\n\r\n",
        "NUL in a header": GET + HOST + HEAD + b"X-A: b\0c\r\n\r\n",
        "a header of bytes that are no text": GET + HOST + HEAD + b"X-\xff: b\r\n\r\n",
        "NUL in the path": b"GET /collections\0 HTTP/1.1\r\n" + HOST + HEAD + b"\r\n",
        "a space in the path": b"GET /collections /etc/passwd HTTP/1.1\r\n" + HOST + HEAD + b"\r\n",
        "headers without end": GET + HOST + HEAD + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 60) for i in range(1000)),
        "a header without end": GET + HOST + HEAD + b"X-A: " + b"a" * 200_000,
        "a length below zero": POST + b"Content-Length: -1\r\n\r\n",
        "a length that is none": POST + b"Content-Length: 0x10\r\n\r\n{}",
        "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
        "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "a length that no machine holds": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
        "a coding that nobody knows": POST + b"Transfer-Encoding: gzip\r\n\r\n{}",
        "a length of a chunk that is none": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        "a length of a chunk that no machine holds": CHUNKED + b"F" * 40 + b"\r\n{}\r\n0\r\n\r\n",
        "a chunk that is longer than it says": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
        "a length and chunks, as those who smuggle send them": POST
        + b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nX: y\r\n\r\n",
        "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "an address elsewhere": b"GET http://example.org/collections HTTP/1.1\r\n" + HOST + HEAD + b"\r\n",
        "a tunnel": b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + HEAD + b"\r\n",
        "an address that is a star": b"OPTIONS * HTTP/1.1\r\n" + HOST + HEAD + b"\r\n",
        "an address that is no path": b"GET collections HTTP/1.1\r\n" + HOST + HEAD + b"\r\n",
        "a head that is too long as a whole": GET + HOST + HEAD + b"X-A: " + b"a" * 66_000 + b"\r\n\r\n",
    }.items()
)

HEADERS = (
    Case("a form of answers that is not there", 406, "POST", f"{C}/search", b'{"id": "@id"}',
         (("Accept", "text/x-nothing"), *JSON)),
    Case("forms of answers without end", 406, "POST", f"{C}/search", b'{"id": "@id"}',
         (("Accept", ",".join(["a/b;q=nan"] * 3000)), *JSON)),
    Case("a method by another header", 405, "POST", C, headers=(("X-HTTP-Method-Override", "DELETE"),)),
    Case("a body that says it is packed", 400, "POST", f"{C}/sql", b"\x1f\x8b" + b"\0" * 20,
         (("Content-Encoding", "gzip"), *JSON)),
    Case("JSON that says it is a form", 422, "POST", f"{C}/sql", b'{"sql": "SELECT 1"}',
         (("Content-Type", "application/x-www-form-urlencoded"),)),
    Case("JSON that says it is text", 422, "POST", f"{C}/classify", b'{"labels": {"@id": "a"}}',
         (("Content-Type", "text/plain"),)),
)  # fmt: skip

CASES = (*KEYS, *SIZES, *FRAMING, *HEADERS)

"""What a bucket does that a folder does not: credentials, conditions, parts, many writers."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.lacking import lacking
from tests.support.faulty_proxy import Answer, FaultyProxy, Handler
from tests.support.s3 import READER, READER_SECRET, S3, prefix

from fairlead.artifacts import Artifacts
from fairlead.artifacts import s3 as backend
from fairlead.errors import Failed, Invalid
from fairlead.records import CacheFolder

CONTENT = b"a table, a model, a manifest"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LARGE = os.urandom(1 << 20) * 40


@pytest.fixture
def url(s3: S3) -> str:
    return f"s3://{s3.bucket}/{prefix()}"


def key_of(url: str, digest: str) -> str:
    return f"{url.split('/', 3)[3]}/{digest[:2]}/{digest}"


def head(s3: S3, url: str, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = s3.client().head_object(
        Bucket=s3.bucket, Key=key_of(url, digest), ChecksumMode="ENABLED"
    )
    return found


class Seen:
    """The methods and some headers of the requests that go through a proxy."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self.requests: list[dict[str, str]] = []
        proxy.plan(self._note, method="*")

    def _note(self, handler: Handler) -> None:
        names = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append({"method": handler.command, "bytes": str(len(handler.body)), **names})
        handler.answer(handler.forwarded())

    def uploaded(self) -> int:
        """Bytes that were sent since it was asked last."""
        sent = sum(int(each["bytes"]) for each in self.requests)
        self.requests.clear()
        return sent


def test_an_upload_is_conditional_and_says_what_the_server_is_to_verify(s3: S3, url: str) -> None:
    with FaultyProxy(s3.endpoint).running() as proxy:
        seen = Seen(proxy)
        os.environ["AWS_ENDPOINT_URL"] = proxy.url  # the fixture s3 puts it back
        Artifacts(url).put(CONTENT)
        (put,) = [each for each in seen.requests if each["method"] == "PUT"]
    assert put["if-none-match"] == "*"
    assert put["x-amz-checksum-sha256"] == head(s3, url, DIGEST)["ChecksumSHA256"]


@pytest.mark.parametrize("content", [CONTENT * 100_000, LARGE], ids=["at once", "in parts"])
def test_what_is_there_already_is_renewed_and_not_sent_again(
    s3: S3, url: str, tmp_path: Path, content: bytes
) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    with FaultyProxy(s3.endpoint).running() as proxy:
        seen = Seen(proxy)
        os.environ["AWS_ENDPOINT_URL"] = proxy.url
        store = Artifacts(url)
        file = store.put_file(source)
        assert seen.uploaded() >= len(content)
        store.put_file(source)
        store.put(content)
        assert seen.uploaded() < 10_000
        assert store.get(file.digest) == content


def test_a_file_in_parts_that_was_damaged_is_uploaded_again(
    s3: S3, url: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    store = Artifacts(url)
    digest = store.put_file(source).digest
    assert head(s3, url, digest)["ETag"].endswith('-3"')
    s3.client().put_object(Bucket=s3.bucket, Key=key_of(url, digest), Body=LARGE[::-1])
    store.put_file(source)
    assert store.get(digest) == LARGE


@pytest.mark.parametrize("size", [100, 2 * backend.PART], ids=["at once", "in parts"])
def test_a_file_that_changes_before_it_is_uploaded_is_refused(
    url: str, tmp_path: Path, size: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"a" * size)
    store = Artifacts(url)
    digest = hashlib.sha256(b"b" * size).hexdigest()
    with pytest.raises(Failed, match="it changed while it was read"):
        store._backend.copy(digest, source)
    assert list(store.all()) == []


def test_a_source_that_is_not_there_fails_in_one_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(Failed, match="No such file"):
        Artifacts(url).put_file(tmp_path / "source")


def test_writers_of_the_same_at_once_agree(url: str) -> None:
    stores = [Artifacts(url) for _ in range(6)]
    contents = [bytes([number]) * 1000 for number in range(10)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda store: [store.put(content) for content in contents], stores))
    found = {each.digest: each.size for each in stores[0].all()}
    assert found == {hashlib.sha256(content).hexdigest(): 1000 for content in contents}
    for content in contents:
        assert stores[0].get(hashlib.sha256(content).hexdigest()) == content


def test_a_bucket_lists_nothing_before_the_first_artefact_and_many_after(url: str) -> None:
    store = Artifacts(url)
    assert list(store.all()) == []
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: store.put(number.to_bytes(4, "big")), range(120)))
    assert len(list(store.all())) == 120


def test_a_bucket_that_is_not_there_is_told_and_not_made(s3: S3) -> None:
    name = f"none-{prefix()}"
    store = Artifacts(f"s3://{name}/prefix")
    for ask in (lambda: store.put(CONTENT), lambda: list(store.all()), lambda: store.get(DIGEST)):
        with pytest.raises(Failed, match="no such bucket") as caught:
            ask()
        assert name in str(caught.value)
        assert caught.value.code == "store_refused"
    assert name not in [each["Name"] for each in s3.client().list_buckets()["Buckets"]]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "hush-hush"}, "the secret key is not that of the access key"),
        ({"AWS_ACCESS_KEY_ID": "nobody-at-all"}, "the server does not know the access key"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "1",
             "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_CONFIG_FILE": os.devnull},
            "no credentials were found",
        ),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "see AWS_ENDPOINT_URL"),
        ({"AWS_PROFILE": "nobody"}, "see AWS_PROFILE"),
    ],
    ids=["secret", "key", "none", "endpoint", "profile"],
)  # fmt: skip
def test_wrong_credentials_are_told_in_one_line_that_shows_none(
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
    message: str,
) -> None:
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    for name, value in variables.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    caplog.set_level(logging.INFO)
    with pytest.raises(Failed, match=message) as caught:
        Artifacts(url).put(CONTENT)
    said = str(caught.value) + caplog.text
    assert "\n" not in str(caught.value)
    assert not [secret for secret in ("hush-hush", "nobody-at-all", secret) if secret in said]


def test_who_may_only_read_is_told_so_and_reads(
    s3: S3, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not s3.private:
        lacking("a server of our own, which knows somebody who may only read")
    Artifacts(url).put(CONTENT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER_SECRET)
    store = Artifacts(url)
    assert store.get(DIGEST) == CONTENT
    for ask in (lambda: store.put(b"x"), lambda: store.put(CONTENT), lambda: store.delete(DIGEST)):
        with pytest.raises(Failed, match="may list, read, write and delete") as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert store.get(DIGEST) == CONTENT


def test_a_url_that_holds_credentials_is_refused_without_showing_them() -> None:
    with pytest.raises(Invalid, match="AWS_ACCESS_KEY_ID") as caught:
        Artifacts("s3://me:hush@bucket/prefix")
    assert "hush" not in str(caught.value)


@pytest.mark.usefixtures("s3")
def test_a_name_that_no_bucket_can_have_is_told_in_one_line() -> None:
    with pytest.raises(Failed, match="the bucket's name") as caught:
        Artifacts("s3://no such name!/prefix").put(CONTENT)
    assert "\n" not in str(caught.value)


def test_a_url_without_a_bucket_is_refused() -> None:
    with pytest.raises(Invalid, match="it names no bucket"):
        Artifacts("s3://")


def test_a_request_that_the_server_holds_wrong_is_not_made_again(
    s3: S3, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"<Error><Code>InvalidRequest</Code><Message>Not like that</Message></Error>"
    wrong = Answer(status=400, headers=[("Content-Type", "application/xml")], body=body)
    with FaultyProxy(s3.endpoint).running() as proxy:
        planned = proxy.plan(lambda handler: handler.answer(wrong), method="PUT")
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with pytest.raises(Failed, match=r"refuses this: .*Not like that \(InvalidRequest\)"):
            Artifacts(url).put(CONTENT)
        assert planned.met == 1


def test_opening_a_store_imports_nothing_that_is_not_used_yet(tmp_path: Path) -> None:
    program = (
        "import sys; from fairlead.artifacts import Artifacts; Artifacts('s3://bucket/prefix')\n"
        "assert not {'fsspec', 's3fs', 'botocore'} & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from fairlead.artifacts import Artifacts\n"
        "from fairlead.errors import Invalid\n"
        "try: Artifacts('s3://bucket/prefix')\n"
        "except Invalid as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == (
        "artefact store 's3://bucket/prefix': a package is missing: pip install 'fairlead[s3]'\n"
    )


def test_a_store_is_seen_as_it_is_and_not_as_it_was(url: str, tmp_path: Path) -> None:
    ours, others = Artifacts(url), Artifacts(url, cache=CacheFolder(path=str(tmp_path)))
    assert list(ours.all()) == []
    assert not ours.exists(DIGEST)
    others.put(CONTENT)
    assert ours.exists(DIGEST)
    assert [each.digest for each in ours.all()] == [DIGEST]
    others.delete(DIGEST)
    assert list(ours.all()) == []

"""Artefacts in a folder: killed writers, full disks, many processes."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
from tests.lacking import lacking

from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt, Failed, Invalid, Unreachable
from fairlead.records import CacheFolder

CONTENT = b"0123456789" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()

PUT = """
import sys
from fairlead.artifacts import Artifacts
from fairlead.errors import DiskFull, Failed
try:
    print(Artifacts(sys.argv[1]).put(b"0123456789" * int(sys.argv[2])).digest)
except (DiskFull, Failed) as error:
    print(error)
"""

PUT_FOREVER = """
import sys
from fairlead.artifacts import Artifacts
store = Artifacts(sys.argv[1])
print("loaded", flush=True)
number = 0
while True:
    store.put(number.to_bytes(8, "big") * 20_000)
    number += 1
"""


def everything(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_file_is_named_by_its_digest_and_cannot_be_edited_by_accident(tmp_path: Path) -> None:
    Artifacts(tmp_path).put(CONTENT)
    assert everything(tmp_path) == [tmp_path / DIGEST[:2] / DIGEST]
    assert (tmp_path / DIGEST[:2] / DIGEST).stat().st_mode & 0o777 == 0o444


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    Artifacts(f"file://{tmp_path}/a%20b").put(CONTENT)
    assert Artifacts(tmp_path / "a b").path(DIGEST).read_bytes() == CONTENT


def test_files_that_are_no_artefacts_are_not_listed(tmp_path: Path) -> None:
    store = Artifacts(tmp_path)
    store.put(CONTENT)
    (tmp_path / DIGEST[:2] / "notes.txt").write_text("")
    (tmp_path / "README").write_text("")
    assert [stored.digest for stored in store.all()] == [DIGEST]


def test_a_path_is_read_once_for_as_long_as_it_does_not_change(tmp_path: Path) -> None:
    store = Artifacts(tmp_path)
    store.put(CONTENT)
    path = store.path(DIGEST)
    seen = path.stat()
    path.chmod(0o644)
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert store.path(DIGEST) == path  # the same inode, size and time: taken for the same
    with pytest.raises(Corrupt):
        store.get(DIGEST)
    os.utime(path)
    with pytest.raises(Corrupt):
        store.path(DIGEST)


def test_a_file_that_is_adopted_is_not_copied(tmp_path: Path) -> None:
    source, store = tmp_path / "source", Artifacts(tmp_path / "store")
    source.write_bytes(CONTENT)
    store.adopt(source, DIGEST)
    assert store.path(DIGEST).samefile(source)
    assert store.path(DIGEST).stat().st_mode & 0o777 == 0o444


def test_a_file_of_another_disk_is_copied_when_it_is_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(_: Path, source: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source))

    monkeypatch.setattr(Path, "hardlink_to", elsewhere)
    source, store = tmp_path / "source", Artifacts(tmp_path / "store")
    source.write_bytes(CONTENT)
    store.adopt(source, DIGEST)
    assert store.get(DIGEST) == CONTENT
    assert not store.path(DIGEST).samefile(source)


def test_a_damaged_file_is_not_adopted_as_itself(tmp_path: Path) -> None:
    store = Artifacts(tmp_path / "store")
    store.put(CONTENT)
    file = store.path(DIGEST)
    file.chmod(0o644)
    file.write_bytes(b"damaged")
    with pytest.raises(Failed, match="it changed while it was read"):
        store.adopt(file, DIGEST)
    with pytest.raises(Corrupt):
        store.get(DIGEST)


def test_a_mapped_file_outlives_its_replacement(tmp_path: Path) -> None:
    store = Artifacts(tmp_path)
    store.put(CONTENT)
    with store.path(DIGEST).open("rb") as mapped:
        store.path(DIGEST).chmod(0o644)
        store.path(DIGEST).write_bytes(b"")
        store.put(CONTENT)
        assert mapped.read() == b""
    assert store.path(DIGEST).read_bytes() == CONTENT


def test_writers_killed_at_any_moment_leave_no_broken_artefact(tmp_path: Path) -> None:
    for delay in (0.0, 0.01, 0.02, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", PUT_FOREVER, tmp_path], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
        count = len(everything(tmp_path))
        deadline = time.monotonic() + 30
        while len(everything(tmp_path)) == count:
            assert time.monotonic() < deadline
        until = time.monotonic() + delay
        while time.monotonic() < until:
            pass
        process.kill()
        process.communicate()
        shutil.rmtree(tmp_path / "00", ignore_errors=True)  # so that the next has work to do
    store = Artifacts(tmp_path)
    stored = list(store.all())
    assert stored
    for file in stored:
        assert len(store.get(file.digest)) == 160_000


def test_what_killed_writers_left_behind_is_found_once_it_is_old(tmp_path: Path) -> None:
    store = Artifacts(tmp_path)
    store.put(CONTENT)
    left = tmp_path / DIGEST[:2] / ".tmp-abc"
    left.write_bytes(b"half")
    assert list(store.stale_temporaries(older_than=3600)) == []
    os.utime(left, (time.time() - 7200,) * 2)
    assert list(store.stale_temporaries(older_than=3600)) == [left]


def test_processes_that_put_the_same_at_once_agree(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUT, tmp_path, "100000"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    said = {process.communicate()[0].strip() for process in processes}
    assert said == {hashlib.sha256(b"0123456789" * 100_000).hexdigest()}
    assert len(everything(tmp_path)) == 1


def test_no_room_for_a_file_fails_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PUT, tmp_path, "100000"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("storing artefact")
    assert everything(tmp_path) == []


def test_a_full_disk_fails_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    mounted = f"mount -t tmpfs -o size=64k tmpfs {tmp_path}"
    program = [sys.executable, "-c", PUT, str(tmp_path), "100000"]
    script = f'{mounted} || exit 77; "$@" && find {tmp_path} -type f'
    unshare = shutil.which("unshare") or "false"
    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", script, "sh", *program],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in {1, 77}:
        lacking("this machine lets nobody mount a small disk (unshare)")
    (line,) = done.stdout.splitlines()
    assert "the disk is full; free some space" in line


def test_a_root_that_cannot_be_written_fails_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="storing artefact"):
        Artifacts(tmp_path / "file").put(CONTENT)


def test_a_source_that_is_not_there_fails_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="No such file"):
        Artifacts(tmp_path).put_file(tmp_path / "source")


def test_a_folder_in_place_of_an_artefact_fails_in_one_line(tmp_path: Path) -> None:
    (tmp_path / DIGEST[:2] / DIGEST).mkdir(parents=True)
    with pytest.raises(Failed, match="reading artefact"):
        Artifacts(tmp_path).get(DIGEST)


def test_an_unknown_url_is_refused() -> None:
    with pytest.raises(Invalid, match="artefact store 'nowhere://x'"):
        Artifacts("nowhere://x")


def test_a_url_without_a_cache_gives_bytes_but_no_path() -> None:
    store = Artifacts("memory://no-cache")
    store.put(CONTENT)
    assert store.get(DIGEST) == CONTENT
    assert list(store.stale_temporaries(older_than=0)) == []
    with pytest.raises(Invalid, match="needs a cache folder"):
        store.path(DIGEST)


def test_a_damaged_file_of_the_cache_is_fetched_again(tmp_path: Path) -> None:
    store = Artifacts("memory://cached", cache=CacheFolder(path=str(tmp_path)))
    store.put(CONTENT)
    path = store.path(DIGEST)
    path.chmod(0o644)
    path.write_bytes(b"")
    assert store.path(DIGEST).read_bytes() == CONTENT


def test_a_cached_file_needs_no_server(tmp_path: Path) -> None:
    store = Artifacts("memory://gone", cache=CacheFolder(path=str(tmp_path)))
    store.put(CONTENT)
    path = store.path(DIGEST)
    fsspec.filesystem("memory").rm("/gone", recursive=True)
    assert store.path(DIGEST) == path


def test_a_server_that_does_not_answer_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="see that the server answers"):
        Artifacts("ftp://127.0.0.1:9/x")


def test_a_file_system_that_refuses_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable, match="see that the server answers"):
        Artifacts(f"local://{tmp_path}/file").put(CONTENT)


def test_a_store_loads_fsspec_only_for_urls(tmp_path: Path) -> None:
    program = (
        "import sys; from fairlead.artifacts import Artifacts; Artifacts(sys.argv[1]).put(b'x')\n"
        "assert 'fsspec' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)

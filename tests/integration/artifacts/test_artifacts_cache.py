"""The folder of local copies: how large it becomes, and what stays in it."""

from __future__ import annotations

import fcntl
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.waiting import wait_until

from fairlead.artifacts import cache as caches
from fairlead.artifacts.cache import Cache
from fairlead.errors import Corrupt, DiskFull
from fairlead.records import CacheFolder

SIZE = 1000


def content(number: int) -> bytes:
    return number.to_bytes(4, "big") * (SIZE // 4)


def digest(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


def fetch(number: int) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(content(number)) and None


def made(folder: Path, *, files: float) -> Cache:
    """A cache with room for so many files."""
    return Cache(CacheFolder(path=str(folder), size=int(files * SIZE)), source="somewhere")


def there(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("??/*")}


def not_wanted(file: Path) -> None:
    raise AssertionError(f"fetched again: {file}")


def test_what_was_not_asked_for_for_the_longest_goes_first(tmp_path: Path) -> None:
    before = made(tmp_path, files=100)
    for number in range(5):
        before.path(digest(number), fetch(number))
    before.path(digest(0), not_wanted)
    del before
    made(tmp_path, files=4.5).path(digest(5), fetch(5))
    assert there(tmp_path) == {digest(number) for number in (0, 3, 4, 5)}


def test_the_folder_stays_within_its_size(tmp_path: Path) -> None:
    for number in range(30):
        made(tmp_path, files=10).path(digest(number), fetch(number))
        assert len(there(tmp_path)) <= 10
    assert digest(29) in there(tmp_path)


def test_what_this_process_was_given_stays(tmp_path: Path) -> None:
    cache = made(tmp_path, files=2)
    paths = [cache.path(digest(number), fetch(number)) for number in range(5)]
    assert all(path.exists() for path in paths)


def test_what_another_process_was_given_stays_until_it_ends(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from fairlead.artifacts.cache import Cache
from fairlead.records import CacheFolder
cache = Cache(CacheFolder(path={str(tmp_path)!r}), source="somewhere")
print(cache.path({digest(0)!r}, lambda file: file.write_bytes({content(0)!r})), flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        path = Path(other.stdout.readline().strip())
        assert path.is_file()
        made(tmp_path, files=1).path(digest(1), fetch(1))
        assert path.read_bytes() == content(0)
        other.kill()
    made(tmp_path, files=1).path(digest(2), fetch(2))
    assert there(tmp_path) == {digest(2)}


def test_a_process_holds_no_more_files_open_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "MOST_HELD", 3)
    cache = made(tmp_path, files=100)
    opened = Path("/proc/self/fd")
    before = len(list(opened.iterdir()))
    for number in range(20):
        cache.path(digest(number), fetch(number))
    assert len(list(opened.iterdir())) == before + 3
    del cache
    assert len(list(opened.iterdir())) == before


def test_a_file_that_is_larger_than_the_folder_may_be_is_there_all_the_same(
    tmp_path: Path,
) -> None:
    cache = made(tmp_path, files=0.5)
    assert cache.path(digest(0), fetch(0)).read_bytes() == content(0)


def test_a_file_is_fetched_once_by_all_who_want_it_at_once(tmp_path: Path) -> None:
    fetched: list[Path] = []

    def noted(file: Path) -> None:
        fetched.append(file)
        file.write_bytes(content(0))

    caches = [made(tmp_path, files=10) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        paths = set(threads.map(lambda cache: cache.path(digest(0), noted), caches))
    assert len(paths) == len(fetched) == 1


def test_processes_that_make_room_for_each_other_get_the_right_files(tmp_path: Path) -> None:
    program = f"""
import hashlib, sys
from pathlib import Path
from fairlead.artifacts.cache import Cache
from fairlead.records import CacheFolder
for turn in range(60):
    cache = Cache(CacheFolder(path={str(tmp_path)!r}, size=5000), source="somewhere")
    for number in range(turn, turn + 4):
        content = (number % 12).to_bytes(4, "big") * 250
        digest = hashlib.sha256(content).hexdigest()
        path = cache.path(digest, lambda file: file.write_bytes(content))
        assert path.read_bytes() == content
"""
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(4)]
    assert [each.wait() for each in running] == [0] * 4


def test_a_file_that_is_replaced_while_it_is_asked_for_is_the_one_that_stays(
    tmp_path: Path,
) -> None:
    cache = made(tmp_path, files=10)
    path = made(tmp_path, files=10).path(digest(0), fetch(0))
    with path.open("rb") as removing, ThreadPoolExecutor(1) as threads:
        fcntl.flock(removing, fcntl.LOCK_EX)
        asked = threads.submit(cache.path, digest(0), not_wanted)
        waiting = re.compile(rf"-> FLOCK .*:{path.stat().st_ino} ")
        wait_until(lambda: waiting.search(Path("/proc/locks").read_text()))
        path.unlink()
        path.write_bytes(content(0))
        removing.close()
        assert asked.result(60).read_bytes() == content(0)
    made(tmp_path, files=0.1).path(digest(1), fetch(1))
    assert path.exists()


def test_other_bytes_than_those_wanted_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="is damaged: the 1000 bytes in 'somewhere'"):
        made(tmp_path, files=10).path(digest(0), fetch(1))
    assert there(tmp_path) == set()


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken(file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull, match="the disk is full; free some space"):
        made(tmp_path, files=10).path(digest(0), broken)
    assert there(tmp_path) == set()


def test_what_is_deleted_from_the_store_is_forgotten_unless_it_is_in_use(tmp_path: Path) -> None:
    cache = made(tmp_path, files=10)
    path = cache.path(digest(0), fetch(0))
    cache.forget(digest(0))
    assert path.exists()
    del cache
    made(tmp_path, files=10).forget(digest(0))
    assert not path.exists()

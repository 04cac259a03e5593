"""What may be wrong with the ledger's file, its folder and its disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt, Invalid
from fairlead.ledger.sqlite import SqliteDatabase
from fairlead.ledger.store import open_ledger
from fairlead.records import Counts
from fairlead.settings import Settings
from tests.integration.ledger.processes import STUDY, add_trials, finished, ledger_file, python
from tests.lacking import lacking

FILL = """
import resource, sys
from fairlead.errors import DiskFull, Failed
from fairlead.ledger.store import open_ledger
from fairlead.records import NewTask, Study, Trial

limited = int(sys.argv[2])
if limited:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limited, limited))
put = 0
with open_ledger(sys.argv[1]) as ledger:
    try:
        ledger.studies.open(Study(id="s", name="n", spec="{}", table="t", size=10_000))
        while True:
            tasks = [
                NewTask(
                    kind="trials",
                    trials=(Trial(number=put + n, family="f", params={"long": "x" * 1000}),),
                )
                for n in range(10)
            ]
            ledger.tasks.add("s", tasks)
            put += 10
    except (DiskFull, Failed) as error:
        assert "\\n" not in str(error)
        print(error)
    print(ledger.studies.counts("s").ready, put)
"""


def test_a_file_is_made_with_its_folders(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "a" / "b" / "ledger.db") as ledger:
        assert ledger.studies.all() == []
    assert (tmp_path / "a" / "b" / "ledger.db").exists()


def test_a_url_and_a_path_name_the_same_ledger(tmp_path: Path) -> None:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        add_trials(ledger, 1)
    with open_ledger(str(tmp_path / "ledger.db")) as ledger:
        assert [study.id for study in ledger.studies.all()] == [STUDY.id]


def test_a_ledger_stays_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_ledger("ledger.db") as ledger:
        monkeypatch.chdir("/")
        add_trials(ledger, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.db", "ledger.db-turn"]


@pytest.mark.parametrize("location", ["mysql://host/ledger", "sqlite://", "s3://bucket/x"])
def test_a_url_of_something_else_is_refused(location: str) -> None:
    with pytest.raises(Invalid, match="must be a file"):
        open_ledger(location)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_bytes(b"name: boston\n" * 1000)
    with pytest.raises(Invalid, match="no SQLite file") as caught:
        open_ledger(file)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == b"name: boston\n" * 1000


def test_the_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE runs (id INTEGER)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(Invalid, match="a database of something else"):
        open_ledger(file)
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="cannot be made"):
        open_ledger(tmp_path / "file" / "ledger.db")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(Invalid, match="cannot be opened"):
        open_ledger(tmp_path / "ledger.db")


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    file = ledger_file(tmp_path)
    with open_ledger(file) as ledger:
        add_trials(ledger, 2000)
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(Corrupt, match="restore it from a backup"), open_ledger(file) as ledger:
        ledger.studies.trials(STUDY.id)


def keep_artefact(beside: Path) -> None:
    Artifacts(Settings(home=beside.parent).artifacts_url).put(b"a table")


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 8192])
def test_a_ledger_cut_short_beside_artefacts_is_no_new_one_and_is_left_alone(
    tmp_path: Path, size: int
) -> None:
    file = ledger_file(tmp_path)
    with open_ledger(file) as ledger:
        add_trials(ledger, 2000)
    keep_artefact(file)
    os.truncate(file, size)
    before = file.read_bytes()
    for _ in range(2):
        with pytest.raises((Corrupt, Invalid)) as caught, open_ledger(file) as ledger:
            ledger.studies.all()
        assert "\n" not in str(caught.value)
        assert str(file) in str(caught.value)
    assert file.read_bytes() == before


def test_an_emptied_ledger_beside_artefacts_says_what_to_do(tmp_path: Path) -> None:
    file = ledger_file(tmp_path)
    keep_artefact(file)
    file.write_bytes(b"")
    with pytest.raises(Corrupt) as caught:
        open_ledger(file)
    assert str(caught.value) == (
        f"ledger {str(file)!r}: it holds nothing, and 'artifacts' beside it shows that it was a "
        "ledger; restore the file from a backup, or move its folder away to begin anew"
    )


def test_a_ledger_that_is_gone_from_beside_its_artefacts_is_not_made_anew(tmp_path: Path) -> None:
    keep_artefact(ledger_file(tmp_path))
    with pytest.raises(Corrupt, match="'artifacts' beside it"):
        open_ledger(ledger_file(tmp_path))
    assert not ledger_file(tmp_path).exists()


def test_an_emptied_ledger_whose_log_is_left_is_refused_and_its_log_is_kept(tmp_path: Path) -> None:
    file = ledger_file(tmp_path)
    log = file.with_name("ledger.db-wal")
    with open_ledger(file) as ledger:
        add_trials(ledger, 20)
        kept, logged = file.read_bytes(), log.read_bytes()
    file.write_bytes(b"")
    log.write_bytes(logged)  # as a run that was killed left it
    with pytest.raises(Corrupt, match=r"'ledger\.db-wal' beside it"):
        open_ledger(file)
    assert log.read_bytes() == logged
    file.write_bytes(kept)  # restored
    with open_ledger(file) as ledger:
        assert ledger.studies.counts(STUDY.id) == Counts(ready=20)


def test_a_ledger_that_was_copied_without_its_log_is_no_new_one(tmp_path: Path) -> None:
    file = ledger_file(tmp_path)
    with open_ledger(file) as ledger:
        add_trials(ledger, 20)
        copied = file.read_bytes()  # its first page only: all else is in the log
    file.write_bytes(copied)
    keep_artefact(file)
    with pytest.raises(Corrupt, match="'artifacts' beside it"):
        open_ledger(file)


def test_a_home_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    file = ledger_file(tmp_path)
    file.with_name("artifacts").mkdir(parents=True)
    file.write_bytes(b"")
    with open_ledger(file) as ledger:
        assert ledger.studies.all() == []


def test_a_home_that_was_killed_before_its_tables_were_there_is_made_again(tmp_path: Path) -> None:
    file = ledger_file(tmp_path)
    file.parent.mkdir()
    database = SqliteDatabase(file)
    database.prepare()
    database.close()
    assert file.stat().st_size > 0
    with open_ledger(file) as ledger:
        assert ledger.studies.all() == []


def test_a_write_that_finds_no_room_fails_in_one_line_and_keeps_what_was_there(
    tmp_path: Path,
) -> None:
    said, counted = finished(python(FILL, ledger_file(tmp_path), 600_000)).splitlines()
    assert "disk is full" in said
    ready, put = map(int, counted.split())
    assert ready == put > 0
    with open_ledger(ledger_file(tmp_path)) as ledger:
        assert ledger.studies.counts("s") == Counts(ready=put)
        assert len(ledger.studies.trials("s")) == put


def test_a_full_disk_fails_in_one_line_and_keeps_what_was_there(tmp_path: Path) -> None:
    if not _may_mount():
        lacking("this machine lets nobody mount a small disk (unshare)")
    (tmp_path / "disk").mkdir()
    (tmp_path / "fill.py").write_text(FILL)
    disk = tmp_path / "disk"
    script = (
        f"mount -t tmpfs -o size=1m tmpfs {disk} && "
        f"{shutil.which('python3', path=_beside_python())} {tmp_path}/fill.py {disk}/ledger.db 0"
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said, counted = done.stdout.splitlines()
    assert "the disk is full; free some space" in said
    ready, put = map(int, counted.split())
    assert ready == put > 0


def _beside_python() -> str:
    import sys

    return os.path.dirname(sys.executable)  # noqa: PTH120 - a search path is text


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0

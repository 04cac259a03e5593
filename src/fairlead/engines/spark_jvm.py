"""The JVM that PySpark speaks to: started with what it needs, and ended for good.

What it prints goes into a file, and nothing of it onto the output of this process. A cluster of
this machine writes its logs into Spark's own folder, so it gets one that has links to all that is
in the real one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlead.engines.spark_conf import MasterKind, kind_of, public
from fairlead.errors import Failed, Invalid

_ENDING = 10.0
"""Seconds in which it ends by itself."""
_SENTENCE = 300
"""Characters of its last line that are passed on."""
_JAVA = "install Java 17 or newer (on Debian: openjdk-17-jre-headless)"


@dataclass(frozen=True, kw_only=True)
class ApplicationPlan:
    """What is started.

    Args:
        conf: Spark's configuration.
        log: The file of what the JVM prints.
        patience: Seconds without a single executor, after which nothing is waited for any more.
        notice: Told how far the start is, in a line.
    """

    conf: Mapping[str, str]
    log: Path
    patience: float
    notice: Callable[[str], None] = field(repr=False)

    @property
    def master(self) -> str:
        """What runs the executors."""
        return self.conf["spark.master"]

    @property
    def is_of_this_machine(self) -> bool:
        """Whether nobody else has executors of it."""
        return self.kind in {"local", "local-cluster"}

    @property
    def kind(self) -> MasterKind:
        """The kind of the master."""
        return kind_of(self.master)


def require_java(environ: Mapping[str, str]) -> None:
    """Refuse to start without PySpark and Java.

    Raises:
        Invalid: Says what to install.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise _not_installed("a package: pip install 'fairlead[spark]'")
    home = environ.get("JAVA_HOME")
    if home and not (Path(home) / "bin" / "java").is_file():
        raise _not_installed(f"Java, and $JAVA_HOME is {home!r}, where no bin/java is: {_JAVA}")
    if not home and shutil.which("java", path=environ.get("PATH")) is None:
        raise _not_installed(f"Java, which is not on the PATH: {_JAVA}")


def _not_installed(what: str) -> Invalid:
    return Invalid(f"train.engine: spark needs {what}", code="engine_not_installed")


def refuse_second() -> None:
    """Refuse to start an application in a process that has one.

    Raises:
        Invalid: It has.
    """
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:  # noqa: SLF001 - PySpark has no public way to ask
        raise Invalid("this process has an application of Spark already: end that first")


def start_jvm(plan: ApplicationPlan, home: Path) -> Any:
    """PySpark's gateway to a JVM, which ends when this process does.

    Args:
        plan: What is started.
        home: A folder for what it writes.

    Raises:
        Failed: It ended as soon as it began.
    """
    from pyspark import SparkConf
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway

    conf = SparkConf(loadDefaults=False)
    for name, value in public(plan.conf).items():
        conf.set(name, value)
    try:
        with plan.log.open("ab") as log, _environment(_variables(plan, home)):
            return launch_gateway(conf=conf, popen_kwargs={"stdout": log, "stderr": log})
    except PySparkException as error:
        said = _last_line(plan.log)
        raise Failed(
            f"Spark's JVM ended as soon as it began: {said}; its log is {plan.log}; if "
            f"Java is old, {_JAVA}"
        ) from error


def _variables(plan: ApplicationPlan, home: Path) -> Mapping[str, str]:
    """What the JVM needs in its environment on top."""
    if not plan.is_of_this_machine:
        return {}
    loopback = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "127.0.0.1"}
    return {**loopback, "SPARK_HOME": str(_linked(home)), "SPARK_LOCAL_DIRS": str(home / "local")}


def _linked(home: Path) -> Path:
    """A folder that has all that Spark's has: a cluster of this machine writes logs into it."""
    import pyspark

    real = Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent)
    for entry in real.iterdir():
        if entry.name not in {"work", "logs", "local"}:
            (home / entry.name).symlink_to(entry)
    return home


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within it they are set in this process, whose environment PySpark gives to the JVM."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def start_context(plan: ApplicationPlan, gateway: Any, home: Path) -> Any:
    """The context of an application, in a JVM that has none."""
    from pyspark import SparkConf, SparkContext

    conf = SparkConf(loadDefaults=False)
    for name, value in {**plan.conf, "spark.sql.warehouse.dir": str(home / "tables")}.items():
        conf.set(name, value)
    context = SparkContext(conf=conf, gateway=gateway)
    if plan.is_of_this_machine:
        context.pythonExec = os.environ.get("PYSPARK_PYTHON", sys.executable)
    return context


def end_jvm(process: subprocess.Popen[bytes]) -> None:
    """End the JVM, which ends when its standard input does."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def forget_jvm() -> None:
    """Have PySpark start another JVM for another application: it keeps the first for good."""
    from pyspark import SparkContext

    with SparkContext._lock:  # noqa: SLF001 - PySpark has no public way to leave a JVM
        SparkContext._active_spark_context = None  # noqa: SLF001
        SparkContext._gateway = None  # noqa: SLF001
        SparkContext._jvm = None  # noqa: SLF001


def last_error(log: Path) -> str:
    """What the JVM said last at the level of errors; its last line where it said nothing so."""
    found = re.findall(r"^\S+ \S+ ERROR \w+: (.+)$", end_of(log, 1 << 16), re.MULTILINE)
    return found[-1][:_SENTENCE] if found else _last_line(log)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in end_of(log, 1 << 14).splitlines() if line.strip()]
    return lines[-1][:_SENTENCE] if lines else "it printed nothing"


def end_of(file: Path, most: int) -> str:
    """The last bytes of a file, as text; nothing of one that cannot be read."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - most))
            return opened.read(most).decode(errors="replace")
    except OSError:
        return ""

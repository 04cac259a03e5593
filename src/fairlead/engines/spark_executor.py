"""`python -m fairlead.engines.spark_executor`: becomes the JVM of an executor in a pod of Spark's.

Spark makes the pods of executors, and says by environment variables what each is to be. Its own
images have a shell script for that; the package PySpark has none.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

_BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_JAVA_OPTION = re.compile(r"SPARK_JAVA_OPT_(\d+)")
_OPTIONS: Mapping[str, str] = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}
"""The options of the backend, and the variables that have their values."""


def command(environ: Mapping[str, str], *, jars: Path) -> list[str]:
    """The command line of the executor.

    Args:
        environ: Its pod's environment.
        jars: The folder of Spark's classes.
    """
    memory = environ["SPARK_EXECUTOR_MEMORY"]
    options = [part for name, value in _OPTIONS.items() for part in (name, environ[value])]
    java = [f"-Xms{memory}", f"-Xmx{memory}", "-cp", f"{jars}/*"]
    return ["java", *_java_options(environ), *java, _BACKEND, *options]


def _java_options(environ: Mapping[str, str]) -> list[str]:
    found = {
        int(match[1]): value
        for name, value in environ.items()
        if (match := _JAVA_OPTION.fullmatch(name))
    }
    return [found[number] for number in sorted(found)]


def main() -> None:
    """Become the executor."""
    from importlib.util import find_spec

    found = find_spec("pyspark")
    if found is None or found.origin is None:
        sys.exit("an executor of Spark needs PySpark: build the image with TARGET=distributed")
    program = command(os.environ, jars=Path(found.origin).with_name("jars"))
    os.execvp(program[0], program)  # noqa: S606 - Spark's own program, without a shell


if __name__ == "__main__":
    main()

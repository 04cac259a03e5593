"""Dask: tasks that do nothing, each of which records its result in PostgreSQL.

python dask_trials.py DATABASE TRIALS PROCESSES
"""

import sys

import psycopg
from distributed import Client, LocalCluster, get_worker


def trial(database: str, number: int, a: float, b: int) -> None:
    worker = get_worker()
    if not hasattr(worker, "results"):
        worker.results = psycopg.connect(database, autocommit=True)
    worker.results.execute("insert into done (trial, score) values (%s, %s)", (number, 0.0 * a * b))


def main(database: str, trials: int, processes: int) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create table done (trial integer primary key, score double precision, "
            "at timestamptz default clock_timestamp())"
        )
        with (
            LocalCluster(
                n_workers=processes, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            for numbers in (range(-40, 0), range(trials)):
                asked = [
                    client.submit(trial, database, number, 0.5, 7, pure=False) for number in numbers
                ]
                client.gather(asked)
        rate = connection.execute(
            "select (count(*) - 1) / extract(epoch from max(at) - min(at)) "
            "from done where trial >= 0"
        ).fetchone()[0]
    print(float(rate))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

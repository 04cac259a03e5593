"""Ray Tune: trials that do nothing, each recorded in PostgreSQL when it is complete.

python ray_trials.py DATABASE TRIALS PROCESSES FOLDER
"""

import os
import sys
from typing import Any

os.environ.setdefault("RAY_raylet_start_wait_time_s", "150")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")

import psycopg
import ray
from ray import tune


class Record(tune.Callback):
    """Writes each result."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.connection = None

    def on_trial_complete(self, trial: Any, **_: Any) -> None:
        if self.connection is None:
            self.connection = psycopg.connect(self.database, autocommit=True)
        self.connection.execute(
            "insert into done (trial, score) values (%s, %s)",
            (trial.trial_id, trial.last_result["score"]),
        )


def nothing(config: dict) -> dict:
    return {"score": 0.0 * config["a"] * config["b"]}


def main(database: str, trials: int, processes: int, folder: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create table done (trial text primary key, score double precision, "
            "at timestamptz default clock_timestamp())"
        )
        ray.init(
            address="local", num_cpus=processes, include_dashboard=False, log_to_driver=False
        )  # never a cluster that runs already
        tune.Tuner(
            tune.with_resources(nothing, {"cpu": 1}),
            param_space={"a": tune.uniform(0, 1), "b": tune.randint(1, 100)},
            tune_config=tune.TuneConfig(
                num_samples=trials, max_concurrent_trials=processes, reuse_actors=True
            ),
            run_config=tune.RunConfig(storage_path=folder, callbacks=[Record(database)], verbose=0),
        ).fit()
        # The first ones start the actors.
        rate = connection.execute(
            "select (count(*) - 1) / extract(epoch from max(at) - min(at)) from "
            "(select at from done order by at offset %s) as warm",
            (2 * processes,),
        ).fetchone()[0]
    ray.shutdown()
    print(float(rate))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

"""Celery: tasks that do nothing, from RabbitMQ, acknowledged late, results in PostgreSQL.

python celery_trials.py DATABASE BROKER TRIALS PROCESSES
"""

import os
import signal
import subprocess
import sys
import time

import sqlalchemy as sa
from celery import Celery, group

DATABASE, BROKER = os.environ["TRIALS_DATABASE"], os.environ["TRIALS_BROKER"]

app = Celery("celery_trials", broker=BROKER, backend=f"db+{DATABASE}")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_default_delivery_mode="persistent",
    broker_connection_retry_on_startup=True,
    worker_send_task_events=False,
)


@app.task
def trial(number: int, a: float, b: int) -> list[float]:
    return [0.0 * a * b, float(number)]


def done(engine: sa.Engine, trials: int) -> float:
    """Waits for all; seconds from the first to the last."""
    while True:
        with engine.connect() as connection:
            query = "select count(*), extract(epoch from max(date_done) - min(date_done)) "
            found, seconds = connection.execute(
                sa.text(f"{query} from celery_taskmeta where status = 'SUCCESS'")
            ).one()
        if found >= trials:
            return float(seconds)
        time.sleep(0.2)


def main(trials: int, processes: int) -> None:
    engine = sa.create_engine(DATABASE)
    app.backend.ResultSession().close()  # makes its tables
    command = [sys.executable, "-m", "celery", "-A", "celery_trials", "worker"]
    worker = subprocess.Popen(
        [*command, "--concurrency", str(processes), "--loglevel", "ERROR", "--without-gossip"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        group(trial.s(n, 0.5, 7) for n in range(40)).apply_async()
        done(engine, 40)
        with engine.begin() as connection:
            connection.execute(sa.text("delete from celery_taskmeta"))
        group(trial.s(n, 0.5, 7) for n in range(trials)).apply_async()
        print((trials - 1) / done(engine, trials))
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

"""Optuna on PostgreSQL: processes that optimize one study with an objective that does nothing.

python optuna_trials.py DATABASE TRIALS PROCESSES
"""

import multiprocessing
import sys

import optuna
import sqlalchemy as sa


def work(url: str, trials: int, ready: multiprocessing.Barrier) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(url)
    sampler = optuna.samplers.RandomSampler()
    optimize(optuna.load_study(study_name="warm", storage=storage, sampler=sampler), 5)
    study = optuna.load_study(study_name="nothing", storage=storage, sampler=sampler)
    ready.wait()
    optimize(study, trials)


def optimize(study: optuna.Study, trials: int) -> None:
    study.optimize(
        lambda t: t.suggest_float("a", 0, 1) * 0 + t.suggest_int("b", 1, 100) * 0, n_trials=trials
    )


def main(database: str, trials: int, processes: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = database.replace("postgresql:", "postgresql+psycopg:")
    for name in ("warm", "nothing"):
        optuna.create_study(study_name=name, storage=url)
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(processes)
    workers = [
        spawn.Process(target=work, args=(url, trials // processes, ready)) for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with sa.create_engine(url).connect() as connection:
        seconds = connection.execute(
            sa.text(
                "select extract(epoch from max(datetime_complete) - min(datetime_complete)) "
                "from trials join studies using (study_id) where study_name = 'nothing'"
            )
        ).scalar_one()
    print((trials // processes * processes - 1) / float(seconds))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

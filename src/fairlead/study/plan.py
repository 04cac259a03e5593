"""A study's plan: a spec with its data and its families, all that the study is made of.

It is made and checked with nothing written; then it is put into the ledger, where it is a study of
the plan's identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from fairlead.artifacts import Artifacts
from fairlead.data import split, store
from fairlead.data.arrays import shape_of
from fairlead.data.read import read
from fairlead.data.summary import summaries
from fairlead.data.table import Table
from fairlead.errors import InvalidSpec
from fairlead.families import catalog
from fairlead.families.family import Batchwise, DryRun, Family, Partitioned, Stepwise, Task
from fairlead.families.imported import Imported
from fairlead.formatting import size
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import is_current, open_ledger
from fairlead.machine import normalised, usable_cores
from fairlead.metrics import Metric, metric_for
from fairlead.records import Limits, Study, Trial, TrialRow
from fairlead.search import catalog as methods
from fairlead.search.search import Search
from fairlead.search.values import first, texts, whole_ends
from fairlead.settings import Settings
from fairlead.spec.document import Spec, Train, canonical, identity
from fairlead.spec.space import Space
from fairlead.study import remarks
from fairlead.training.check import FamiliesToCheck, about, check_families, key_of, unshared
from fairlead.version import VERSION


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """All that a study is made of.

    `remarks` are what a person should know of it, in a line each.
    """

    spec: Spec  # frozen: nothing in it is left to the data or to a family any more
    table: Table
    task: Task
    metric: Metric
    families: Mapping[str, Family]
    sources: Mapping[str, bytes]  # of `./file.py:Name` families
    remarks: tuple[str, ...] = ()

    @cached_property
    def search(self) -> Search:
        """Which trials it has."""
        return _search(self.spec, self.families, self.task, self.metric, ())

    def resumed(self, known: Sequence[Trial]) -> Search:
        """The same search, spared from drawing again the trials that are known."""
        return _search(self.spec, self.families, self.task, self.metric, known)

    @property
    def to_check(self) -> FamiliesToCheck:
        """What its families must be able to do."""
        over = self.spec.search.over
        return FamiliesToCheck(
            names=tuple(space.family for space in over),
            params=tuple(
                {name: first(values) for name, values in (space.params or {}).items()}
                for space in over
            ),
            texts=tuple(
                {name: texts(values) for name, values in (space.params or {}).items()}
                for space in over
            ),
            whole=tuple(
                {
                    name: ends
                    for name, values in (space.params or {}).items()
                    if (ends := whole_ends(values))
                }
                for space in over
            ),
            sources=self.sources,
            task=self.task,
            to_export=self.spec.promote.when != "never",
            shared=self.spec.train is not None,
        )

    @property
    def to_try_out(self) -> FamiliesToCheck:
        """The same, and the networks of the user's are built once: in a process of their own."""
        numbers, classes = self.table.signature.numbers, self.table.classes
        tried = DryRun(
            width=sum(column.columns for column in summaries(self.table)),
            shape=shape_of(numbers),
            outputs=1 if classes is None else len(classes),
            export=self.spec.promote.when != "never",
            seconds=self.spec.search.task_time,
        )
        return replace(self.to_check, dry_run=tried)

    @property
    def has_builders(self) -> bool:
        """Whether functions of the user's build networks."""
        return any(name.startswith(catalog.BUILT) for name in self.families)

    @property
    def needs(self) -> Mapping[str, Mapping[str, str]]:
        """For each family the packages, and their versions, that decide what its fits give."""
        return {name: _packages(family) for name, family in self.families.items()}

    @property
    def identity(self) -> str:
        """The first 16 digits of the study's digest (the ledger's rule 7)."""
        versions = {name: dict(family.versions()) for name, family in self.families.items()}
        if own := methods.method(self.spec.search.method).versions():
            versions["search"] = dict(own)
        digest = identity(self.spec, fingerprint=self.table.fingerprint, versions=versions)
        return digest[:16]


def make(  # noqa: PLR0913 - what, where from, and who is called
    spec: Spec,
    *,
    base: Path,
    settings: Settings,
    sources: Mapping[str, bytes] | None = None,
    downloaded: Callable[[int, int | None], None] | None = None,
    check: Callable[[StudyPlan], Sequence[str]] | None = None,
    elsewhere: bool = False,
) -> StudyPlan:
    """Read the data and check the spec against it and against its families.

    Args:
        spec: The user's.
        base: Folder that its relative paths start from.
        sources: Content of the files of its families, where that is known; the others are read.
        settings: The installation's.
        downloaded: Called with a download's bytes.
        check: As in `of`.
        elsewhere: Whether its fits may be made on other machines, so that TensorFlow need not be
            here.

    Raises:
        Invalid: Something of it cannot be; the message begins with the key where there is one.
    """
    known = dict(sources or {})
    families = dict(_families(spec, base, known, elsewhere=elsewhere))
    methods.options(spec)  # refused before the data is read
    table = read(spec.data, base=base, settings=settings, progress=downloaded)
    found = {name: known.get(name) or catalog.source_of(name, base) for name in families}
    kept = {name: source for name, source in found.items() if source is not None}
    _refuse_too_large(spec, table, families, settings)
    return of(spec, table, families, kept, check=check)


def _refuse_too_large(
    spec: Spec, table: Table, families: Mapping[str, Family], settings: Settings
) -> None:
    """Refuse families that hold all rows in memory, where these are too many for that.

    Raises:
        InvalidSpec: Names the family, the bound, and who takes rows in parts.
    """
    needed, task = table.features.size, spec.search.task_memory
    bounds = {"search.task_memory": task}
    if table.scratch is not None:  # a table of one file was in memory as it was read
        bounds["$FAIRLEAD_DATA_MEMORY"] = settings.memory_for_data
    passed = [(name, bound) for name, bound in bounds.items() if bound and needed > bound]
    for name, bound in passed[:1]:
        for index, space in enumerate(spec.search.over):
            if (why := _why_whole(families[space.family], space.params or {})) is not None:
                raise InvalidSpec(
                    f"search.over[{index}].family: {space.family!r} holds all rows in memory{why}, "
                    f"and the features take {size(needed)}, more than {name} ({size(bound)}); "
                    "raise that, or use xgboost or keras, which take rows in parts"
                )


def _why_whole(family: Family, params: Space) -> str | None:
    """Why a family holds all rows; a clause, which may be empty, or None where it does not."""
    if not isinstance(family, Batchwise):
        return ""
    for name, values in params.items():
        for value in values if isinstance(values, tuple) else (first(values),):
            if why := family.whole({name: value}):
                return f" with {why}"
    return None


def of(
    spec: Spec,
    table: Table,
    families: Mapping[str, Family],
    sources: Mapping[str, bytes],
    *,
    check: Callable[[StudyPlan], Sequence[str]] | None = None,
) -> StudyPlan:
    """The plan of a spec whose data and families are there, checked against both.

    Args:
        spec: The user's.
        table: Its data.
        families: By the names in it.
        sources: Content of the files of its `./file.py:Name` families.
        check: Checks the families in another way than in this process; gives remarks.

    Raises:
        Invalid: They do not go together.
    """
    _refuse_unshared(spec, families)
    task: Task = "regression" if table.classes is None else "classification"
    metric = metric_for(spec.search.metric, task)
    plan = StudyPlan(
        spec=_frozen(spec, families, task, metric),
        table=table,
        task=task,
        metric=metric,
        families=families,
        sources=sources,
    )
    _refuse_unparted(plan)
    unexportable = (check or _check_families)(plan)
    plan = replace(plan, remarks=(*_seen(plan, spec), *unexportable))
    _ = plan.search  # refused here where it cannot be
    return plan


def _refuse_unshared(spec: Spec, families: Mapping[str, Family]) -> None:
    """Refuse families that one process fits, where the spec has several share a fit.

    Steps of mode allreduce need processes that find each other, which executors of Spark do not.
    Those named by an import path are looked at where they are imported (training/check.py).

    Raises:
        InvalidSpec: Names it.
    """
    for index, space in enumerate(spec.search.over if spec.train else ()):
        if not isinstance(families[space.family], (Stepwise, Partitioned, Imported)):
            with about(key_of(index, space.family)):
                raise unshared(space.family)
        if not isinstance(families[space.family], Partitioned) and _is_unfound(spec.train):
            raise InvalidSpec(
                f"train.mode: allreduce: on Spark the processes that fit {space.family!r} do not "
                "find each other: write exact or averaging, or another train.engine"
            )


def _is_unfound(train: Train | None) -> bool:
    return train is not None and (train.mode, train.engine) == ("allreduce", "spark")


def _refuse_unparted(plan: StudyPlan) -> None:
    """Refuse fits by a library of Spark's that cannot be shared as the spec asks.

    Raises:
        InvalidSpec: Names what cannot, and what can.
    """
    train = plan.spec.train
    for index, space in enumerate(plan.spec.search.over if train else ()):
        family = plan.families[space.family]
        if train is None or not isinstance(family, Partitioned):
            continue
        with about(f"search.over[{index}].family"):
            if train.engine != "spark" and train.is_shared:
                raise InvalidSpec(
                    f"fits of {space.family!r} are shared by executors of Spark alone: write "
                    "train.engine: spark, or leave out train"
                )
        for name, values in (space.params or {}).items():
            for value in values if isinstance(values, tuple) else (first(values),):
                if why := family.unparted({name: value}, train):
                    raise InvalidSpec(
                        f"search.over[{index}].params.{name}: processes cannot share a fit with "
                        f"{why}"
                    )


def _seen(plan: StudyPlan, asked: Spec) -> Iterator[str]:
    """Remarks on the data, which is checked to have rows for every fold, and on the search."""
    table, data = plan.table, plan.spec.data
    rows, held = split.holdout(table, data.holdout, seed=data.seed)
    split.folds(table.target[rows], plan.spec.search.folds, classes=table.classes is not None)
    yield from table.notes
    yield from remarks.on_target(table, asked.data)
    yield from remarks.on_row_numbers(table)
    yield from remarks.on_copies(table)
    if asked.promote.when != "never":
        yield from remarks.on_precision(table)
    yield from remarks.on_few(held, asked.promote)
    yield from remarks.on_holdout(table, held, data.holdout)
    yield from remarks.on_trials(plan.spec.search)
    if any(isinstance(family, Partitioned) for family in plan.families.values()):
        yield from remarks.on_parted(plan.spec.train)


def _check_families(plan: StudyPlan) -> Sequence[str]:
    return check_families(plan.to_check)


def restored(spec: Spec, study: Study, artifacts: Artifacts) -> StudyPlan:
    """The plan of a study that is in the ledger, made of its artefacts alone.

    Its families were checked before it came there, and are not again: that would run their code in
    the process of a controller, which may be a server.

    Args:
        spec: Frozen, as the study has it or with another `promote` or `serve`.
        study: Has the digests of its table and of its families' sources.
        artifacts: Where these are.

    Raises:
        Corrupt: One of its artefacts is not what its digest says.
    """
    sources = {name: artifacts.get(digest) for name, digest in study.sources.items()}
    families = {
        space.family: catalog.family(space.family, base=Path(), source=sources.get(space.family))
        for space in spec.search.over
    }
    return of(spec, store.load(study.table, artifacts), families, sources, check=lambda _: ())


def _families(
    spec: Spec, base: Path, sources: Mapping[str, bytes], *, elsewhere: bool
) -> Iterator[tuple[str, Family]]:
    for index, space in enumerate(spec.search.over):
        with about(key_of(index, space.family)):
            source = sources.get(space.family)
            yield (
                space.family,
                catalog.family(space.family, base=base, source=source, elsewhere=elsewhere),
            )


def _frozen(spec: Spec, families: Mapping[str, Family], task: Task, metric: Metric) -> Spec:
    """The spec with what it left to the data and to the families written out."""
    over = tuple(
        space
        if space.params is not None
        else space.model_copy(update={"params": families[space.family].space(task)})
        for space in spec.search.over
    )
    search = spec.search.model_copy(update={"over": over, "metric": metric.name})
    data = spec.data.model_copy(update={"task": task})
    return spec.model_copy(update={"search": search, "data": data})


def _search(
    spec: Spec, families: Mapping[str, Family], task: Task, metric: Metric, known: Sequence[Trial]
) -> Search:
    better = metric.greater_is_better
    return methods.search_for(spec, families, task=task, greater_is_better=better, known=known)


def keep(plan: StudyPlan, ledger: Ledger, artifacts: Artifacts, *, fresh: bool) -> Study:
    """Put the plan into the ledger, or find the study that it already is.

    Args:
        plan: What to keep.
        ledger: Where.
        artifacts: Where its table and sources go.
        fresh: Start another study of the same identity.
    """
    known = _generations(plan.identity, ledger)
    number = known + 1 if fresh else max(known, 1)
    study = Study(
        id=_name(plan.identity, number),
        name=plan.spec.name,
        spec=canonical(plan.spec),
        table=store.save(plan.table, artifacts),
        sources={name: artifacts.put(source).digest for name, source in plan.sources.items()},
        size=plan.search.size,
        limits=Limits(seconds=plan.spec.search.task_time, memory=plan.spec.search.task_memory),
        needs=plan.needs,
    )
    return ledger.studies.open(study)


def _packages(family: Family) -> Mapping[str, str]:
    """Files, which versions name by their digests, travel with the study."""
    versions = {
        normalised(package): version
        for package, version in family.versions().items()
        if not version.startswith("sha256:")
    }
    return {**versions, "fairlead": VERSION}


def _generations(identity: str, ledger: Ledger) -> int:
    """How many studies of this identity there are."""
    ids = {study.id for study in ledger.studies.all()}
    number = 0
    while _name(identity, number + 1) in ids:
        number += 1
    return number


def _name(identity: str, generation: int) -> str:
    """The id of a study of this identity, by its number among these from 1."""
    return identity if generation == 1 else f"{identity}-{generation}"


def known(plan: StudyPlan, settings: Settings) -> Study | None:
    """The study that a run of the plan would go on with; None where there is none.

    Nothing is written: no ledger is created, and one of an older Fairlead is left as it is.
    """
    if not is_current(settings.ledger_url, setting=settings.ledger_setting):
        return None
    with open_ledger(settings.ledger_url, setting=settings.ledger_setting) as ledger:
        generations = _generations(plan.identity, ledger)
        return ledger.studies.get(_name(plan.identity, generations)) if generations else None


def trials_of(study: Study, settings: Settings) -> Sequence[TrialRow]:
    """The trials of a known study."""
    with open_ledger(settings.ledger_url, setting=settings.ledger_setting) as ledger:
        return ledger.studies.trials(study.id)


def slots(plan: StudyPlan) -> int:
    """How many local workers a plan is worth: no more than trials."""
    return min(most_slots(plan.spec), max(1, plan.search.size))


def most_slots(spec: Spec) -> int:
    """The cores, divided by those of a fit; at least 1, and no more than trials can be."""
    train = spec.train
    here = train.workers if train is not None and train.engine == "local" else 1
    cores = usable_cores() // (spec.search.threads * here)
    return max(1, min(cores, methods.most_trials(spec.search)))

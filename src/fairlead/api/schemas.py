"""What the routes take and give, for what is no record: the shapes that --json has."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fairlead.records import StudyState, TrialState


class Health(BaseModel):
    """That the server answers, and of which version it is."""

    status: str
    version: str


class StudyRow(BaseModel):
    """A study; best and score are those of the best trial so far until it is finished."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "study": "boston-prices-3f2a9c",
                    "name": "boston-prices",
                    "state": "finished",
                    "done": 60,
                    "failed": 0,
                    "pruned": 0,
                    "size": 60,
                    "metric": "rmse",
                    "best": 41,
                    "score": 2.94,
                    "priority": 0,
                }
            ]
        }
    )

    study: str
    name: str
    state: StudyState
    done: int
    failed: int
    pruned: int
    size: int
    metric: str
    best: int | None
    score: float | None
    priority: int


class StudyDetails(StudyRow):
    """A study with whether it is paused, and its spec as canonical JSON."""

    paused: bool
    created: float
    finished: float | None
    spec: str


class TrialRow(BaseModel):
    """A trial; its scores are empty until it has some.

    `curve` is its score on the first fold after each epoch, where it may be pruned by these.
    """

    number: int
    family: str
    params: dict[str, Any]
    scores: list[float | None]
    score: float | None
    state: TrialState
    attempts: int
    seconds: float | None
    reason: str | None
    curve: list[float | None]


class EventRow(BaseModel):
    """A line of a study's history; `id` rises over the whole ledger."""

    id: int
    at: float
    kind: str
    study: str | None
    task: int | None
    attempt: int | None
    worker: str | None
    text: str


class ModelRow(BaseModel):
    """A model; `live` is the percent of each revision, null before the first route."""

    model: str
    champion: int | None
    versions: int
    metric: str
    holdout_score: float | None
    created: float
    live: dict[str, int] | None
    mlflow: str


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CancelBody(_Body):
    """Why a run is to end."""

    why: str = Field(default="", max_length=2000, examples=["wrong data"])


_SPEC = """
name: boston-prices
data: {source: boston}
search: {method: random, trials: 20, over: [{family: linear}]}
"""
_FILES: Any = Field(
    default_factory=dict,
    max_length=20,
    description="SHA-256 of uploaded files, by the names that the spec has for them.",
    examples=[{"rows.csv": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
)
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class SubmitBody(_Body):
    """A spec, and how its run is to be carried out."""

    spec: Annotated[str, Field(min_length=1)] | dict[str, Any] = Field(
        description="The document, as YAML text or as an object. Its data is in the catalog, at an "
        "https:// address, or one of `files`; so are its `./file.py:Name` families.",
        examples=[
            _SPEC,
        ],
    )
    files: dict[str, _Sha256] = _FILES
    fresh: bool = Field(default=False, description="Search again even if this study is finished.")
    deploy: bool = Field(default=False, description="Deploy the version if it becomes champion.")
    priority: int | None = Field(default=None, ge=-1000, le=1000, examples=[10])


class RetrainBody(_Body):
    """On which data a champion's spec is run again."""

    source: str | None = Field(
        default=None,
        max_length=2000,
        description="A catalog name, an https:// address, or one of `files`; where the champion's "
        "was if null.",
        examples=["rows.csv"],
    )
    files: dict[str, _Sha256] = _FILES
    deploy: bool = Field(default=False, description="Deploy the version if it becomes champion.")


class AdjustBody(_Body):
    """What a run is to have from now on; what is left out stays as it is."""

    trials: int | None = Field(default=None, ge=1, le=1_000_000, examples=[200])
    priority: int | None = Field(default=None, ge=-1000, le=1000, examples=[10])


class PromoteBody(_Body):
    """Which version is to be the champion, of which one, and why."""

    version: int = Field(ge=1, le=999_999_999, examples=[3])
    previous: int | None = Field(
        le=999_999_999, examples=[2], description="The champion that you know of; null for none."
    )
    why: str = Field(min_length=1, max_length=2000, examples=["agreed with sales"])


class RollbackBody(_Body):
    """Which champion is to be replaced by the one before, and why."""

    previous: int = Field(
        ge=1, le=999_999_999, examples=[3], description="The champion that you know of."
    )
    why: str = Field(min_length=1, max_length=2000, examples=["too low on Monday"])


_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class UploadBody(_Body):
    """The file that is to be uploaded in pieces."""

    digest: str = Field(pattern="^[0-9a-f]{64}$", examples=[_DIGEST])
    size: int = Field(ge=0, le=2**53, examples=[4])


class UploadRow(BaseModel):
    """An upload in pieces, of which `offset` bytes are there; it is finished where that is all."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"upload": "0" * 32, "digest": _DIGEST, "size": 4, "offset": 4}]
        }
    )

    upload: str
    digest: str
    size: int
    offset: int


class StoredArtifact(BaseModel):
    """A file that is in the store."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"digest": _DIGEST, "size": 4}]})

    digest: str
    size: int


class WhyBody(_Body):
    """Why the traffic is to change, and from which route."""

    why: str = Field(min_length=1, max_length=2000, examples=["too slow since Monday"])
    previous: int | None = Field(
        default=None,
        ge=1,
        le=999_999_999,
        examples=[7],
        description="Number of the route that you know to be in force: where another one is, "
        "nothing changes (409). Any if null.",
    )


class RouteBody(WhyBody):
    """How traffic is to be split over revisions that were deployed before."""

    traffic: dict[str, Annotated[int, Field(ge=0, le=100)]] = Field(
        min_length=1, max_length=20, examples=[{"v1": 90, "v2": 10}]
    )


class DeployBody(_Body):
    """What to bring into service; the champion, in the steps of its spec, where nothing is said."""

    version: int | None = Field(default=None, ge=1, le=999_999_999, examples=[3])
    steps: list[Annotated[int, Field(ge=1, le=100)]] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="Percents of the traffic, rising to 100.",
        examples=[[10, 50, 100]],
    )

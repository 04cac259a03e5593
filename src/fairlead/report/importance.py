"""Parameter importance: which parameters decide whether a trial is among the best.

The estimate is Optuna's PED-ANOVA (Watanabe et al., 2023, and for parameters that only some
families have, Ito et al., 2026): how differently a parameter is distributed among the best tenth
of the trials and among all. It costs milliseconds, where one that fits forests costs minutes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from fairlead.records import Scalar, Trial
from fairlead.report.material import Material, Scored
from fairlead.report.picture import BLUE, Figure, Picture, Scale, label, layout, scale_of, thinned

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

MIN_TRIALS = 20  # the best tenth of fewer is one trial
_MOST_TRIALS = 3000
_MOST_BARS = 12
_TITLE = "Parameter importance"
_FAMILY = "family"

Given: TypeAlias = Mapping[str, Scalar]


def draw(material: Material) -> Picture:
    """A bar a parameter, or why there are none."""
    why_not = _why_not(material)
    if why_not:
        return Picture(key="importance", title=_TITLE, caption=why_not)
    shares = importances(material)
    caption = (
        "How much each parameter decides whether a trial is among the best tenth, as shares of "
        "one (PED-ANOVA). It says what mattered among the values searched, not why."
    )
    return Picture(key="importance", title=_TITLE, caption=caption, figure=_figure(shares))


def importances(material: Material) -> dict[str, float]:
    """The share of each searched parameter, the greatest first."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    scored = thinned(material.scored, _MOST_TRIALS)
    given = [_given(one.row.trial, material.families) for one in scored]
    names = _searched(given)
    study = optuna.create_study(
        direction="maximize" if material.metric.greater_is_better else "minimize"
    )
    study.add_trials(_frozen(scored, given, names))
    with warnings.catch_warnings():
        # A parameter that one or two trials have makes its own share unsure, not the others.
        warnings.simplefilter("ignore", UserWarning)
        return optuna.importance.get_param_importances(study)


def _why_not(material: Material) -> str | None:
    if len(material.scored) < MIN_TRIALS:
        return f"Fewer than {MIN_TRIALS} trials have a score, too few to tell."
    if material.ranked[0].score == material.ranked[-1].score:
        return "All trials have the same score: no parameter mattered."
    if not _searched([_given(one.row.trial, material.families) for one in material.scored]):
        return "No parameter took more than one value."
    return None


def _given(trial: Trial, families: Sequence[str]) -> Given:
    """The trial's parameters under names that no other family's have; its family among them."""
    if len(families) == 1:
        return trial.params
    named = {f"{trial.family}: {name}": value for name, value in trial.params.items()}
    return {_FAMILY: trial.family, **named}


def _searched(given: Sequence[Given]) -> dict[str, Scale]:
    """The parameters that took more than one value, each with the scale of its values."""
    taken: dict[str, dict[str, Scalar]] = {}
    for params in given:
        for name, value in params.items():
            taken.setdefault(name, {})[repr(value)] = value
    return {
        name: scale_of(values.values(), spread=False)
        for name, values in sorted(taken.items())
        if len(values) > 1
    }


def _frozen(
    scored: Sequence[Scored], given: Sequence[Given], scales: Mapping[str, Scale]
) -> list[optuna.trial.FrozenTrial]:
    import optuna

    distributions = {name: _distribution(scale) for name, scale in scales.items()}
    return [
        optuna.trial.create_trial(
            value=one.score,
            params={n: _drawn(params[n], scale) for n, scale in scales.items() if n in params},
            distributions={n: one for n, one in distributions.items() if n in params},
        )
        for one, params in zip(scored, given, strict=True)
    ]


def _distribution(scale: Scale) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if scale.discrete:
        return CategoricalDistribution(tuple(scale.places))
    return FloatDistribution(0.0, 1.0)


def _drawn(value: Scalar, scale: Scale) -> str | float:
    return repr(value) if scale.discrete else scale.at(value)


def _figure(shares: Mapping[str, float]) -> Figure:
    shown = list(shares.items())[:_MOST_BARS][::-1]  # Plotly draws the first at the foot
    bars: dict[str, Any] = {
        "type": "bar",
        "orientation": "h",
        "x": [share for _, share in shown],
        "y": [label(name) for name, _ in shown],
        "text": [f"{share:.0%}" for _, share in shown],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": BLUE},
    }
    x = {"tickformat": ".0%", "range": [0, 1.2 * max(shares.values())], "fixedrange": True}
    y = {"showgrid": False, "fixedrange": True, "type": "category"}
    return {"data": [bars], "layout": layout(x=x, y=y, bargap=0.35)}

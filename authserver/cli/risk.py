"""authserver risk: the learned part of adaptive authentication, made and measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..config import Settings
from ..errors import Invalid, NotDone
from ..login.risk import model as models
from ..login.risk.signals import observe
from ..login.risk.training import sign_ins
from ..risk_simulation import KNOWN, LabelledAttempt, Report, Row, evaluate, lessons, read_events, simulate
from .rooms import json_option, open_rooms, show, table

# fewer teach habits of nobody
FEWEST = 1000
# of the simulation that teaches, never that of one that is judged by
LESSONS_SEED = 1
# from so many points a server asks for more, unless it is set otherwise
STEP_UP = int(Settings.model_fields["risk_step_up"].default)
COLUMNS = [
    "attacker", "tuned on", "attacks", "rules auc", "rules found", "model auc", "model found", "both auc",
    "both found", "served: rules", "served: both",
]  # fmt: skip


@click.group()
def risk() -> None:
    """Make the model of unlikely sign-ins, and measure it beside the rules (docs/risk.md)."""


@risk.command()
@click.option("--out", type=click.Path(dir_okay=False), help="Where to; AUTHSERVER_RISK_MODEL if not given.")
@json_option
def train(out: str | None, as_json: bool) -> None:
    """Learn what sign-ins of honest people look like from those that this server has seen.

    Servers read the file when they start. Without a model the rules judge alone.

    \b
    Examples:
      authserver risk train --out risk-model.json
    """
    services = open_rooms()
    path = Path(out) if out else services.settings.risk_model
    if path is None:
        raise Invalid("Name a file with --out, or set AUTHSERVER_RISK_MODEL.")
    made = models.train(sign_ins(services.database))
    if made.learned < FEWEST:
        raise NotDone(f"There are {made.learned} completed sign-ins; fewer than {FEWEST} teach nothing.")
    try:
        made.write(path)
    except OSError as error:
        raise NotDone(f"{path} cannot be written: {error.strerror}.") from None
    told = {"file": str(path), "learned": made.learned, "limit": made.limit}
    show(
        told,
        as_json,
        f"{path} knows {made.learned} sign-ins; unlikely is what weighs over {made.limit:.1f} nats.",
    )


@risk.command("evaluate")
@click.option("--seed", default=2, show_default=True, help="Of the simulation.")
@click.option("--people", default=300, show_default=True, type=click.IntRange(20, 20_000), help="Simulated.")
@click.option("--events", type=click.Path(exists=True, dir_okay=False), help="Labelled sign-ins instead.")
@click.option(
    "--model", type=click.Path(exists=True, dir_okay=False), help="Made by train; else one is made."
)
@json_option
def evaluate_(seed: int, people: int, events: str | None, model: str | None, as_json: bool) -> None:
    """Measure rules and model on labelled sign-ins: on the simulation, or on a file of events.

    Prints the area under the ROC curve, the share of attacks found while 1 % of honest sign-ins are asked for
    more, and what a server with the usual thresholds finds. The model is made from a simulation of another
    seed unless one is given.

    \b
    Examples:
      authserver risk evaluate
      authserver risk evaluate --seed 7 --people 100 --json
    """
    if seed == LESSONS_SEED and model is None:
        raise Invalid(f"Seed {LESSONS_SEED} is what the model learns from; take another one.")
    learned = models.read(Path(model)) if model else _taught(people)
    judged = read_events(Path(events)) if events else simulate(seed, people)
    try:
        report = evaluate(_signals(judged), learned, STEP_UP)
    except ValueError as error:
        raise Invalid(f"{error}.") from None
    told = {"learned": learned.learned, "better": report.better} | asdict(report)
    show(told, as_json, f"{table([_cells(row) for row in report.rows], COLUMNS)}\n\n{_summary(report)}")


def _summary(report: Report) -> str:
    whole = report.rows[0]
    verdict = (
        "The model with the rules finds more than the rules alone at the same false step-ups."
        if report.better
        else "The model does not find more than the rules alone: leave it off."
    )
    return (
        f"Of {report.honest} honest sign-ins a server asks {report.false_by_rules:.2%} for more by the rules"
        f" alone, {report.false_served:.2%} with the model.\nIt finds {whole.by_rules:.1%} of attacks by the"
        f" rules alone, {whole.served:.1%} with the model; rules that asked as many would find"
        f" {report.rules_there:.1%}.\n{verdict}"
    )


def _taught(people: int) -> models.Model:
    return models.train(observe(one.attempt, one.history) for one in lessons(LESSONS_SEED, people))


def _signals(judged: Iterable[LabelledAttempt]) -> Iterable[tuple[str, Any]]:
    return ((one.label, observe(one.attempt, one.history)) for one in judged)


def _cells(row: Row) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "attacker": row.attacker,
        "tuned on": "" if row.attacker == "all" else "yes" if row.attacker in KNOWN else "no",
        "attacks": row.count,
    }
    for name, measured in (("rules", row.rules), ("model", row.model), ("both", row.both)):
        cells |= {f"{name} auc": f"{measured.auc:.3f}", f"{name} found": f"{measured.found:.1%}"}
    cells |= {"served: rules": f"{row.by_rules:.1%}", "served: both": f"{row.served:.1%}"}
    return cells

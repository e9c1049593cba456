"""`fv2es evaluate`: how often the model's labels are right on labelled corpora, as JSON and as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipelines.cli.console import ConfigOption, JsonOption, load_config, print_unbroken
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from models.evaluate.report import Report
    from models.evaluate.score import Told

EXAMPLES = """
[bold]Examples[/]

  fv2es evaluate --data meld=MELD.Raw/ --out evaluation/

  fv2es evaluate --data manifest=corpora/ --data takes=corpora/av --branches voice+face --out evaluation/

  fv2es evaluate --annotations labels/ --out evaluation/

Corpora, in the layout in which they are given away: crema-d, emo-db, fer2013, iemocap (published split),
iemocap-session5 (speakers apart), meld, mosei, ravdess; manifest, the folder of the trainings; takes of RAVDESS;
annotations, an output of FV2ES with verdicts on its labels.

With --annotations, the labels that an output holds are scored by the verdicts that were given in `fv2es view`; the \
model does not run. Annotators who mark only what is wrong make any model look bad: mark what is right, too.

OUT/report.json holds every figure with its interval, OUT/report.html is the same as a page. A corpus that is not there
is named, with where to get it. Thresholds are chosen on the tune part, whatever part is measured. The part test
(official test sets, speakers held in reserve) is read only when asked for: measure it once, when all choices are made.
"""

DEFAULT = "default"
BRANCHES = ("text", "voice", "face")
Part = Literal["report", "tune", "test"]


def evaluate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report.json and report.html.")],
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="A corpus and its folder; can be given more than once."),
    ] = None,
    annotations: Annotated[
        str | None,
        typer.Option(metavar="OUT", help="Score the labels of this output by the annotations in it, instead."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="With --annotations: the id of a recipe, or how it begins; else the latest one.")
    ] = None,
    model: Annotated[str, typer.Option(help="A weights file of V2EM-S, or the one that ships.")] = DEFAULT,
    part: Annotated[Part, typer.Option(help="Which items of the corpora.")] = "report",
    branches: Annotated[
        list[str] | None,
        typer.Option(help="Branches to read with, such as voice or voice+face; by default each alone, and together."),
    ] = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the model on labelled corpora: accuracies, F1, AUC, calibration, each with its interval and baselines."""
    if out.exists() and not out.is_dir():
        raise SettingsError(f"{out} is a file; --out wants a folder.")
    if annotations is not None:
        if data or branches or model != DEFAULT or part != "report":
            raise SettingsError(
                "--annotations scores labels that are there: it goes without --data, --model, --part and --branches."
            )
        report = _of_annotations(annotations, recipe, config)
    elif data:
        report = _of_corpora(data, model, part, branches)
    else:
        raise SettingsError("Say what to measure on: --data NAME=FOLDER, or --annotations OUT.")
    _write(report, out, json_output)


def _of_annotations(out: str, recipe: str | None, config: Path | None) -> "Report":
    from pipelines.annotated import evaluate_annotations

    load_config(config).storage.apply()
    with err.status("Reading labels and annotations..."):
        return evaluate_annotations(out, recipe)


def _of_corpora(data: list[str], model: str, part: Part, branches: list[str] | None) -> "Report":
    from models.catalogue import CatalogueError  # torch and the rest: the other subcommands start without them
    from models.corpora.item import CorpusError
    from models.evaluate import run
    from models.evaluate.inputs import UnreadableError
    from models.weights_file import WeightsError

    corpora = [_corpus(given) for given in data]
    asked = [_combination(given) for given in branches] if branches else None
    try:
        run.check_names([name for name, _ in corpora])
        with err.status("Loading the model..."):
            subject = run.load_subject(None if model == DEFAULT else Path(model))
        with _progress() as bars:
            return run.evaluate(subject, corpora, part, asked, _told(bars))
    except (CatalogueError, CorpusError, UnreadableError, WeightsError, run.NothingToEvaluateError) as error:
        raise SettingsError(str(error)) from error


def _write(report: "Report", out: Path, json_output: bool) -> None:
    from models.evaluate.page import render_page

    out.mkdir(parents=True, exist_ok=True)
    text = report.model_dump_json(indent=2) + "\n"
    (out / "report.json").write_text(text, "utf-8")
    (out / "report.html").write_text(render_page(report), "utf-8")
    if json_output:
        typer.echo(text, nl=False)
    else:
        show(report)
        console.print(f"Page: {escape(str(out / 'report.html'))}", soft_wrap=True)


def show(report: "Report") -> None:
    """The headlines as a table."""
    table = Table("set", "items", "accuracy", "majority", "UAR", "wF1", "WAcc", "AUC", "ECE", box=None)
    for name, found in report.reports.items():
        low, high = found.accuracy.interval_95 or (0.0, 0.0)
        decided = found.decisions
        measures = (found.uar_shared, found.weighted_f1, decided.weighted_accuracy, decided.auc, found.ece)
        table.add_row(
            escape(name),
            f"{found.items:,}",
            escape(f"{found.accuracy.value:.3f} [{low:.3f}, {high:.3f}]"),
            f"{found.accuracy.baselines['majority']:.3f}",
            *("-" if measure.value is None else f"{measure.value:.3f}" for measure in measures),
        )
    print_unbroken(table)


def _corpus(given: str) -> tuple[str, Path]:
    name, equals, folder = given.partition("=")
    if not (name and equals and folder):
        raise SettingsError(f"--data {given}: expected NAME=FOLDER, such as meld=MELD.Raw/.")
    if not Path(folder).is_dir():
        raise SettingsError(f"--data {given}: there is no folder {folder}.")
    return name, Path(folder)


def _combination(given: str) -> tuple[str, ...]:
    named = [word.strip() for word in given.split("+")]
    if not set(named) <= set(BRANCHES):
        raise SettingsError(f"--branches {given}: branches are {', '.join(BRANCHES)}, joined by +, such as voice+face.")
    return tuple(branch for branch in BRANCHES if branch in named)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def _told(bars: Progress) -> "Told":
    rows: dict[str, TaskID] = {}

    def told(what: str, done: int, items: int) -> None:
        if what not in rows:
            rows[what] = bars.add_task(escape(what), total=items)
        bars.update(rows[what], completed=done, total=items)

    return told

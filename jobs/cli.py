"""The command `gloss`: reads arguments, calls the verb, returns its exit code.

Heavy imports (Ray, DuckDB, PyAV, models) happen inside the commands, so that `gloss --help`
answers at once. Results go to stdout; progress, notes and errors to stderr.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

EXIT_BROKEN, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="gloss",
    help="Turn videos and documents into tables that answer SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

models = typer.Typer(
    help="Models of speech and vision: which are here, and fetching them.", no_args_is_help=True
)
app.add_typer(models, name="models")

Lake = Annotated[str, typer.Option("--lake", metavar="URI", help="Folder or object-store URL of the lake.")]
Profile = Annotated[
    str, typer.Option("--profile", metavar="NAME", help="Set of defaults: embedded, cpu or gpu.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration in TOML or YAML.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as ocr.engine=off; may be repeated."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what Ray and the engines say.")]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="NAME",
        help="table, json, csv (text that a spreadsheet would compute gets an ') or parquet.",
    ),
]
Sources = Annotated[list[str], typer.Argument(metavar="SOURCE", help="Files, folders, globs or fsspec URLs.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Only files modified since: 2026-11-24, 36h, 7d."),
]
MostFiles = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=0, help="Do at most N files in this run.")
]
ShuffleSeed = Annotated[
    int | None, typer.Option("--shuffle-seed", metavar="N", help="Do files in an order drawn with N.")
]
Prune = Annotated[bool, typer.Option("--prune", help="Remove assets whose file is gone from the sources.")]
MaxTokens = Annotated[
    int | None,
    typer.Option("--max-tokens", metavar="N", min=0, help="Show a model nothing if it takes more tokens."),
]
MaxCost = Annotated[
    float | None,
    typer.Option("--max-cost", metavar="PRICE", min=0, help="…or costs more, by vision.input_price."),
]
Shape = Annotated[str, typer.Option("--format", metavar="NAME", help="table or json.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"gloss {version('gloss')}")
        except PackageNotFoundError:
            print("gloss, from a folder in which it is not installed")
        raise typer.Exit


@app.callback()
def _gloss(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def ingest(
    sources: Sources,
    lake: Lake,
    profile: Profile = "embedded",
    config: ConfigFile = None,
    settings: Settings = None,
    since: Since = None,
    limit: MostFiles = None,
    shuffle_seed: ShuffleSeed = None,
    prune: Prune = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and why.")] = False,
    verbose: Verbose = False,
) -> None:
    """Read sources into a lake; unchanged files cost nothing.

    Exit codes: 0 everything is in the lake; 3 some files failed (see the table failures); 2 wrong
    usage or configuration, found before any work; 1 the run itself broke, or was stopped.
    """
    from cluster.without_pandas import leave_out_pandas
    from jobs.caps import Caps
    from jobs.ingest import run_ingest
    from jobs.plan import Selection
    from jobs.since import parse_since
    from schemas.config import load_config

    leave_out_pandas()
    effective = load_config(profile, config, settings or [])
    selection = Selection(None if since is None else parse_since(since), limit, shuffle_seed)
    raise typer.Exit(
        run_ingest(
            sources,
            lake,
            effective,
            selection=selection,
            prune=prune,
            caps=Caps(max_tokens, max_cost),
            dry_run=dry_run,
            verbose=verbose,
        )
    )


@app.command()
def submit(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", help="As of ingest, for all nodes to reach.")
    ] = None,
    lake: Annotated[str | None, typer.Option("--lake", metavar="URI", help="As of ingest.")] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="URL",
            envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"],
            help="The cluster's job server: http://HEAD:8265.",
        ),
    ] = None,
    profile: Profile = "embedded",
    config: ConfigFile = None,
    settings: Settings = None,
    since: Since = None,
    limit: MostFiles = None,
    shuffle_seed: ShuffleSeed = None,
    prune: Prune = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="As of ingest.")] = False,
    verbose: Verbose = False,
    code: Annotated[
        str, typer.Option("--code", metavar="HOW", help="ship this code, or run what is installed there.")
    ] = "ship",
    shared: Annotated[
        list[str] | None,
        typer.Option("--shared-path", metavar="FOLDER", help="All nodes see this folder at the same path."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME", help="Give the job this variable of the environment here."),
    ] = None,
    secret_env: Annotated[
        list[str] | None,
        typer.Option("--secret-env", metavar="NAME", help="A secret one, which the cluster will show."),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the job's id and leave.")] = False,
    follow: Annotated[
        str | None, typer.Option("--follow", metavar="JOB", help="Show the log of a job until it ends.")
    ] = None,
    stop: Annotated[
        str | None, typer.Option("--stop", metavar="JOB", help="End a job; what is finished stays.")
    ] = None,
    list_jobs: Annotated[bool, typer.Option("--list", help="List the jobs of the cluster.")] = False,
    format: Shape = "table",  # noqa: A002
) -> None:
    """Ingest on a Ray cluster: the same command, as a job.

    The job goes on without this terminal; Ctrl-C only stops watching it. Exit codes: those of the run,
    as of ingest; 2 also for what only this machine has.
    """
    from jobs.submit import Place, run_follow, run_list, run_stop, run_submit
    from jobs.submit_request import request_of

    if follow or stop or list_jobs:
        if sources or sum(map(bool, (follow, stop, list_jobs))) > 1:
            message = "Wanted sources, or one of --follow, --stop and --list."
            raise typer.BadParameter(message)
        if follow:
            raise typer.Exit(run_follow(address, follow))
        raise typer.Exit(run_stop(address, stop) if stop else run_list(address, format))
    if not sources or lake is None:
        message = "Wanted SOURCE... and --lake URI, or one of --follow, --stop and --list."
        raise typer.BadParameter(message)
    request = request_of(
        sources,
        lake,
        profile,
        config,
        settings or [],
        {
            "--since": since,
            "--limit": limit,
            "--shuffle-seed": shuffle_seed,
            "--max-tokens": max_tokens,
            "--max-cost": max_cost,
            "--prune": prune,
            "--dry-run": dry_run,
            "--verbose": verbose,
        },
    )
    place = Place(address, code, shared or [], env or [], secret_env or [])
    raise typer.Exit(run_submit(request, place, wait=not no_wait))


@app.command()
def nightly(
    sources: Sources,
    lake: Lake,
    profile: Profile = "embedded",
    config: ConfigFile = None,
    settings: Settings = None,
    limit: MostFiles = None,
    prune: Prune = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    format: Shape = "table",  # noqa: A002
    verbose: Verbose = False,
) -> None:
    """Ingest as every night: all that changed, compared with the runs before, and somebody told.

    Limits, webhook and command are settings of the section nightly; gloss schedule runs it by itself.

    Exit codes: as of ingest (3: some files failed); 4 a limit of drift is missed; 5 another run has the
    lake, nothing was done; 6 all went well, but the notification could not be delivered.
    """
    from cluster.without_pandas import leave_out_pandas
    from jobs.caps import Caps
    from jobs.nightly import run_nightly
    from jobs.plan import Selection
    from schemas.config import load_config

    leave_out_pandas()
    effective = load_config(profile, config, settings or [])
    raise typer.Exit(
        run_nightly(
            sources,
            lake,
            effective,
            selection=Selection(None, limit, None),
            prune=prune,
            caps=Caps(max_tokens, max_cost),
            format=format,
            verbose=verbose,
        )
    )


@app.command()
def schedule(
    sources: Sources,
    lake: Lake,
    target: Annotated[
        str, typer.Option("--target", metavar="NAME", help="kuberay, cron, systemd, or ray-up (a cluster).")
    ],
    at: Annotated[
        str | None, typer.Option("--at", metavar="WHEN", help="02:30, or as cron has it: '30 2 * * 1-5'.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Of --at, such as Europe/Berlin.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Write files there.")
    ] = None,
    profile: Profile = "embedded",
    config: ConfigFile = None,
    settings: Settings = None,
    limit: MostFiles = None,
    prune: Prune = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
) -> None:
    """Render what runs gloss nightly every night: Kubernetes manifests, a crontab or systemd units.

    Starts nothing. Machines, image, names of secrets and the like are settings of the section deployment.
    """
    from jobs.caps import Caps, require_prices
    from jobs.schedule import run_schedule
    from schemas.config import load_config

    effective = load_config(profile, config, settings or [])
    require_prices(Caps(max_tokens, max_cost), effective.vision)
    given = (("--limit", limit), ("--max-tokens", max_tokens), ("--max-cost", max_cost))
    options = [text for name, value in given if value is not None for text in (name, str(value))]
    raise typer.Exit(
        run_schedule(
            sources,
            lake,
            effective,
            target=target,
            at=at,
            timezone=timezone,
            output=output,
            options=[*options, *(["--prune"] if prune else [])],
        )
    )


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the tables of the lake.")],
    lake: Lake,
    format: Format = "table",  # noqa: A002
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=0, help="Most rows.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to stdout.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="End it after this; 0 never does.")
    ] = 600.0,
    memory: Annotated[
        str, typer.Option("--memory", metavar="SIZE", help="Most memory: 4GB, or a share of the machine's.")
    ] = "50%",
    spill: Annotated[
        str | None,
        typer.Option(
            "--spill", metavar="SIZE", help="Most disk for what does not fit (half of what is free)."
        ),
    ] = None,
) -> None:
    """Ask the lake in SQL.

    DuckDB's dialect; a query can read the tables of the lake and nothing else.

    Tables: assets, segments, clips, text_regions, utterances, page_tables, sentences, citations,
    reviews, embeddings, failures, runs, skips, units, plans, decisions, costs, drift, timeline.
    """
    from jobs.query import run_query
    from jobs.read_only import Limits

    limits = Limits(timeout or None, memory, spill)
    raise typer.Exit(run_query(lake, sql, format=format, limit=limit, output=output, limits=limits))


@app.command()
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORDS", help='Words, "quoted phrases", beginnings*.')
    ],
    lake: Lake,
    format: Format = "table",  # noqa: A002
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Most places.")] = 10,
    semantic: Annotated[
        bool, typer.Option("--semantic", help="Find what is meant, in texts and pictures, by vectors.")
    ] = False,
    hybrid: Annotated[
        bool, typer.Option("--hybrid", help="Find words and what is meant, in one ranking.")
    ] = False,
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Find words in what was seen, said and summarised.

    The best places come first, each with its time or page and what stands there. --semantic and
    --hybrid need a lake with vectors, and their model on this machine: --set embedding.model=FOLDER
    says where it is.
    """
    from jobs.search import run_search

    if semantic or hybrid:
        from jobs.semantic import run_semantic
        from schemas.config import load_config

        given = load_config(file=config, settings=settings or []).embedding
        raise typer.Exit(
            run_semantic(lake, " ".join(words), hybrid=hybrid, given=given, format=format, limit=limit)
        )
    raise typer.Exit(run_search(lake, " ".join(words), format=format, limit=limit))


@app.command()
def show(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="Asset id, URI, or a part of the file name.")],
    lake: Lake,
    format: Shape = "table",  # noqa: A002
) -> None:
    """Tell the story of one asset.

    Its facts, summary, segments, clips and their text, failures and timings.
    """
    from jobs.show import run_show

    raise typer.Exit(run_show(lake, asset, format=format))


@app.command()
def status(
    lake: Lake,
    format: Shape = "table",  # noqa: A002
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Also verify the lake: read every file, compare every count. Exit with 1 on errors.",
        ),
    ] = False,
) -> None:
    """Show runs, assets by state, and failures by reason."""
    from jobs.status import run_status

    raise typer.Exit(run_status(lake, format=format, check=check))


@app.command()
def evaluate(
    lake: Lake,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="FILE", help="What is known of some assets, in JSON or YAML."),
    ] = None,
    format: Shape = "table",  # noqa: A002
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="What an earlier evaluate --format json printed."),
    ] = None,
    minima: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC=VALUE", help="Least that a metric may be; may be repeated."),
    ] = None,
    maxima: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="METRIC=VALUE", help="Most that it may be; may be repeated."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", metavar="X", help="By how much a share may be worse than in the baseline."
        ),
    ] = 0.01,
) -> None:
    """Measure the quality of a lake against files of known truth.

    Without --truth, only what the lake tells of itself: whether summaries rest on what they cite.

    Exit codes: 0 fine; 4 a limit is missed, a number is worse than in the baseline, or an entry of
    the truth fits no asset; 2 wrong usage, or a truth that cannot be used; 1 reading broke.
    """
    from jobs.evaluate import run_evaluate

    raise typer.Exit(
        run_evaluate(
            lake,
            truth=truth,
            format=format,
            baseline=baseline,
            minima=minima or [],
            maxima=maxima or [],
            tolerance=tolerance,
        )
    )


@app.command()
def report(
    lake: Lake,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="A run's id or its beginning; else the newest.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to stdout.")
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures",
            help="Show the pages and frames where something failed, decoded from the sources.",
        ),
    ] = True,
) -> None:
    """Write one run as a page of HTML that holds all it shows.

    Ledger, stages over time, throughput, the slowest and most expensive assets, failures with the
    command that tries each again, configuration and versions.
    """
    from jobs.page import run_report

    raise typer.Exit(run_report(lake, run_id=run, output=output, pictures=pictures))


@app.command("try")
def try_(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="One file, or the URL of one.")],
    page: Annotated[int | None, typer.Option("--page", metavar="N", min=1, help="Only this page.")] = None,
    at: Annotated[
        float | None, typer.Option("--at", metavar="SECONDS", min=0, help="Only the span with this time.")
    ] = None,
    profile: Profile = "embedded",
    config: ConfigFile = None,
    settings: Settings = None,
    format: Shape = "table",  # noqa: A002
) -> None:
    """Read one file, or a place in it, and show what comes out.

    Needs no lake and no cluster; ingests nothing. Exit code 3 when something failed.
    """
    from jobs.try_file import run_try
    from schemas.config import load_config

    effective = load_config(profile, config, settings or [])
    raise typer.Exit(run_try(source, effective, page=page, at_seconds=at, format=format))


@app.command()
def retry(
    lake: Lake,
    profile: Annotated[str | None, typer.Option("--profile", metavar="NAME", help="As of ingest.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    verbose: Verbose = False,
) -> None:
    """Ingest again only what failed.

    Without options it is read as by the last run.
    """
    from jobs.retry import run_retry
    from schemas.config import load_config

    given = profile is not None or config is not None or bool(settings)
    effective = load_config(profile or "embedded", config, settings or []) if given else None
    raise typer.Exit(run_retry(lake, effective, verbose=verbose))


@app.command()
def compose(
    lake: Lake,
    assets: Annotated[
        list[str] | None,
        typer.Option(
            "--asset", metavar="URI", help="Only assets whose URI ends so or fits; may be repeated."
        ),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    verbose: Verbose = False,
) -> None:
    """Write summaries again from the text in the lake, decoding nothing.

    Settings are those of the lake's last run, with --config and --set over them: another
    summary.engine, summary.model, summary.prompts, summary.levels or summary.language. What was
    read, heard and captioned stays as it is.
    """
    from jobs.compose import last_config, run_compose

    effective = last_config(lake, config, settings or [])
    raise typer.Exit(run_compose(lake, effective, assets=assets or [], dry_run=dry_run, verbose=verbose))


@app.command()
def review(
    lake: Lake,
    what: Annotated[
        str, typer.Argument(metavar="[list|accept|edit|reject]", help="What to do; list shows what is open.")
    ] = "list",
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Reviews, by their ids or beginnings of them."),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="SENTENCE", help="With edit: what is to stand instead.")
    ] = None,
    asset: Annotated[
        str | None, typer.Option("--asset", metavar="ASSET", help="List only those of one asset.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List also those that were decided about.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="List at most N.")] = 50,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            help="Write the frames and pages of the evidence there, as PNG, decoded from the sources.",
        ),
    ] = None,
    format: Shape = "table",  # noqa: A002
) -> None:
    """List doubtful sentences with their evidence, and decide about them.

    accept lets a sentence stand (or stand again), reject takes it out, edit puts another in its
    place. Decisions hold in every later run, for as long as the source is the same.
    """
    from jobs.decide import run_decide
    from jobs.review import run_review

    match what:
        case "list":
            code = run_review(
                lake, asset=asset, everything=everything, limit=limit, format=format, pictures=pictures
            )
        case "accept" | "edit" | "reject":
            code = run_decide(lake, what, ids or [], text)
        case _:
            message = f"Wanted list, accept, edit or reject; found {what!r}."
            raise typer.BadParameter(message)
    raise typer.Exit(code)


@app.command()
def repair(lake: Lake) -> None:
    """Take out what is not sound, so that the next ingest makes it again.

    Data files that cannot be read are dropped, and assets whose rows do not fit together are
    forgotten; status --check names both. Restore what you have a backup of first.
    """
    from jobs.repair import run_repair

    raise typer.Exit(run_repair(lake))


@app.command()
def compact(
    lake: Lake,
    retention_hours: Annotated[
        int,
        typer.Option(
            "--retention-hours", metavar="N", min=0, help="Keep replaced files this long for their readers."
        ),
    ] = 168,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for a running ingest.")
    ] = 0.0,
) -> None:
    """Drop superseded rows and merge small files.

    Refused while an ingest is running; readers are not disturbed.
    """
    from jobs.compact import run_compact

    raise typer.Exit(run_compact(lake, retention_hours=retention_hours, wait_seconds=wait))


@app.command()
def doctor(format: Shape = "table") -> None:  # noqa: A002
    """Say what this machine can run: engines, codecs, GPUs, stores."""
    from jobs.doctor import run_doctor

    raise typer.Exit(run_doctor(format=format))


@models.command("list")
def models_list(
    profile: Profile = "embedded",
    config: ConfigFile = None,
    settings: Settings = None,
    format: Shape = "table",  # noqa: A002
) -> None:
    """Show the models on this machine, and those that can be pulled."""
    from jobs.models import run_models_list
    from schemas.config import load_config

    effective = load_config(profile, config, settings or [])
    sections = effective.speech, effective.vision, effective.embedding, effective.summary
    raise typer.Exit(run_models_list(*sections, format=format))


@models.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="small, large-v3-turbo, or a repository.")],
    vision: Annotated[
        bool,
        typer.Option("--vision", help="A vision-language model (a repository) instead of one of speech."),
    ] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="A language model (a repository) that writes summaries.")
    ] = False,
    embedding: Annotated[
        bool, typer.Option("--embedding", help="An embedding model (a repository), of texts or pictures.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="faster-whisper (default) or transformers; with --vision, --summary: transformers or vllm.",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit.")
    ] = None,
) -> None:
    """Fetch a model into this machine's cache and check it.

    Exit code 1 when it could not be fetched.
    """
    from jobs.models import run_models_pull

    chosen = {"summary": summary, "embedding": embedding, "vision": vision}
    use = next((section for section, wanted in chosen.items() if wanted), "speech")
    raise typer.Exit(run_models_pull(name, use, engine=engine, revision=revision))


def main() -> None:
    """Run the command line and exit with the verb's code."""
    for stream in (sys.stdout, sys.stderr):
        # Text in every script must come out, whatever the locale says.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    except SystemExit as end:
        _leave_abruptly_if_needed(end)
        raise
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python must not complain while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN)
    except Exception as error:
        sys.exit(_explain(error))


def _leave_abruptly_if_needed(end: SystemExit) -> None:
    session = sys.modules.get("cluster.session")
    if session is not None:
        session.leave_abruptly(end.code if isinstance(end.code, int) else EXIT_BROKEN)


def _explain(error: Exception) -> int:
    from jobs.output import complain, note
    from operators.lake import LakeError
    from schemas.config import ConfigError

    if isinstance(error, ConfigError | LakeError):
        return complain(str(error), EXIT_USAGE)
    if {"-v", "--verbose"} & set(sys.argv):
        note("".join(traceback.format_exception(error)))
    else:
        sys.stderr.write("(--verbose shows where it happened.)\n")
    return complain(f"{type(error).__name__}: {error}", EXIT_BROKEN)


if __name__ == "__main__":
    main()

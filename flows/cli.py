"""The `headstart` command. Light on purpose: torch, MLflow, Prefect and DVC are imported by what needs them."""

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from types import FrameType

from headstart.errors import HeadstartError

Commands = argparse._SubParsersAction  # the only name there is for what add_subparsers gives


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs a subcommand and exits with 0, 1, 2 (the user's input), 3 (busy) or 143 (stopped)."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # of children: a tasks.py of the user's project is not taken for ours
    sys.exit(run_command(list(sys.argv[1:] if arguments is None else arguments)))


def run_command(arguments: list[str]) -> int:
    """Runs a subcommand; returns its exit code. Errors of ours become one line on stderr, never a traceback."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of torch, MLflow and others, about each other: nothing that a user can mend
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    words = _stopped(options.command)
    signal.signal(signal.SIGTERM, partial(_stop, words))
    if options.command == "predict":
        _share_names(parser, options, rest)
        rest = []
    if rest and options.command not in ("run", "check", "rank", "explore"):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        return _dispatch(options, rest)
    except HeadstartError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(words)
        return 130
    except BrokenPipeError:
        if not _stdout_is_closed():
            raise
        return 1
    except Exception as error:
        from headstart.storage.disk import disk_error

        if not disk_error(error):
            raise
        sys.stderr.write(f"error: the disk is full or fails: {error}\n")
        return 1


def _stdout_is_closed() -> bool:
    """Whether nobody reads what is printed any more (`headstart list datasets | head -1`), which needs no words."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    return False


def _dispatch(options: argparse.Namespace, rest: list[str]) -> int:
    from flows import commands

    if options.command == "init":
        return commands.init(options.folder)
    if options.command == "rank":
        return commands.rank(options.sources, rest, as_json=options.json)
    if options.command == "explore":
        return commands.explore(options.sources, rest, as_json=options.json)
    if options.command == "check":
        return commands.check(options.path, rest, role=options.role, as_json=options.json)
    if options.command == "run":
        return commands.run(
            rest, preset=options.preset, plan_only=options.plan, max_minutes=options.max_minutes, ray=options.ray
        )
    if options.command == "list":
        return commands.list_registry(options.what, as_json=options.json)
    if options.command == "devices":
        return commands.devices()
    if options.command == "doctor":
        return commands.doctor(repair=options.repair)
    if options.command == "status":
        return commands.status(as_json=options.json)
    if options.command == "predict" and options.new_only:
        return commands.predict_new(
            options.model, options.input, options.out, device=options.device, batch_size=options.batch_size
        )
    if options.command == "predict":
        return commands.predict(
            options.model,
            options.input,
            options.out,
            device=options.device,
            batch_size=options.batch_size,
            force=options.force,
        )
    if options.command == "serve":
        return commands.serve(port=options.port, mlflow_port=options.mlflow_port)
    if options.command == "reproduce":
        return commands.reproduce(options.run, tolerance=options.tolerance)
    if options.command == "promote":
        return commands.promote(options.version, approved=options.approve)
    if options.command == "rollback":
        return commands.rollback()
    if options.command == "api":
        from flows.api.serve import serve

        return serve(
            options.model,
            host=options.host,
            port=options.port,
            token_file=options.token_file,
            device=options.device,
            batch_size=options.batch_size,
        )
    return commands.ui(port=options.port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headstart",
        description="Moves what a network learned on a source to a target, and says whether it helped.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    adders = (
        _add_init,
        _add_run,
        _add_rank,
        _add_explore,
        _add_check,
        _add_predict,
        _add_promote,
        _add_reproduce,
        _add_api,
    )
    for add in adders:
        add(commands)
    listing = commands.add_parser("list", help="what there is to choose from")
    listing.add_argument("what", choices=["strategies", "backbones", "datasets", "modalities", "presets"])
    listing.add_argument("--json", action="store_true", help="as a list of objects")
    commands.add_parser("devices", help="devices of this machine and who holds them")
    status = commands.add_parser("status", help="is a run going on, what is up to date, the last verdict and its model")
    status.add_argument("--json", action="store_true", help="as an object")
    doctor = commands.add_parser(
        "doctor",
        help="look through the project's files for damage, and tidy after killed runs",
        description="Reads every file of DVC's cache, of the pipeline's outputs and datasets, and every finished cell, "
        "and compares it with what was recorded: DVC itself does not look. Closes what killed runs left open. Exits "
        "with 0 where all is well, 1 where something is damaged.",
    )
    doctor.add_argument(
        "--repair", action="store_true", help="put back what DVC's cache or remote has; the rest is made anew by a run"
    )
    _add_serve(commands)
    ui = commands.add_parser("ui", help="open MLflow's pages on this project's runs, on loopback")
    ui.add_argument("--port", type=int, default=5000)
    return parser


def _add_init(commands: Commands) -> None:
    init = commands.add_parser(
        "init",
        help="make a project in a repository of your own, which has Headstart installed",
        description="Writes dvc.yaml, params.yaml, prefect.yaml, data/ and code.lock/, and what git and DVC need, "
        "where there is none yet. In a project that is there, it takes the installed version's code and stages.",
    )
    init.add_argument("folder", nargs="?", default=".", metavar="DIR", help="new or not; this one by default")


def _add_run(commands: Commands) -> None:
    run = commands.add_parser(
        "run",
        help="run the transfer pipeline of this project, as params.yaml says",
        description="Runs the pipeline. Settings given as flags are written to params.yaml first.",
        epilog=_settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("--plan", action="store_true", help="say what would run and what to expect, and stop")
    run.add_argument(
        "--max-minutes",
        type=float,
        metavar="M",
        help="drop what would make the run take longer on this device, by a few timed steps and as if nothing were "
        "cached and every remedy were needed: remedies first, then the largest of finetune.curve_budgets, then the "
        "costliest fine-tuned strategies but one, then seeds down to 3; scratch's steps are never cut. What is dropped "
        "is printed and written to params.yaml",
    )
    run.add_argument(
        "--ray",
        metavar="ADDRESS",
        default=os.environ.get("HEADSTART_RAY", ""),
        help="run cells on the machines of a Ray cluster: HOST:6379 from one of them, ray://HOST:10001 from outside, "
        "or local for one of this machine's cores; HEADSTART_RAY by default. Needs the extra [ray]",
    )
    run.add_argument(
        "--preset",
        metavar="NAME",
        help="start from a preset instead of params.yaml as it is; `headstart list presets` shows them",
    )


def _add_rank(commands: Commands) -> None:
    _add_light(
        commands,
        "rank",
        help="rank sources by what their W knows of the target, without fine-tuning",
        what="says how well labels that are left out in turn are told from them: by ridge, nearest neighbours and "
        "LogME, the sources' sizes beside it",
        json="a list of objects",
    )


def _add_explore(commands: Commands) -> None:
    _add_light(
        commands,
        "explore",
        help="say whether the source's features already separate the target, without labels or fine-tuning",
        what="clusters them and the raw inputs: k-means on principal components. Labels, where there are some, say "
        "afterwards whether the clusters are the classes. Rows of a test set are not looked at; in cross-validation "
        "there is none, and all are",
        json="an object: reports/clusters.json",
    )


def _add_light(commands: Commands, name: str, *, help: str, what: str, json: str) -> None:
    """A command that stops before fine-tuning. what: it does with the features; json: what comes with --json."""
    light = commands.add_parser(
        name,
        help=help,
        description=f"Pretrains on each source, computes the target's features under each W, and {what}. Takes "
        "settings as run does; they are written to params.yaml. A later `headstart run` goes on from there.",
    )
    light.add_argument("--sources", metavar="A,B", help="sources to look with; those of params.yaml by default")
    light.add_argument("--json", action="store_true", help=f"as {json}")


def _add_check(commands: Commands) -> None:
    check = commands.add_parser(
        "check",
        help="say what a run would make of a dataset, without running",
        description="Reads a folder, a table or a dataset below data/ as ingest would. Takes settings as run does; "
        "writes nothing. Exits with 0 where a run would go through, 2 where it would be refused.",
    )
    check.add_argument("path", help="a folder, a table (.csv, .parquet), or the name of a dataset")
    check.add_argument(
        "--as",
        dest="role",
        choices=["target", "source"],
        default="target",
        help="what the run would take it for (target); a source may have attributes in place of classes or values",
    )
    check.add_argument("--json", action="store_true", help="as an object")


def _add_predict(commands: Commands) -> None:
    predict = commands.add_parser(
        "predict",
        help="predict new rows with a delivered model",
        usage="%(prog)s [-h] [--model MODEL] [--out FILE] [--force] [--new-only] [--device DEVICE]\n"
        "                         [--batch_size BATCH_SIZE] [MODEL] INPUT",
        description="Predicts a file, a folder of files or a table: images, texts or clips, as the model takes. "
        "Columns: path, prediction, and probability.<class> for each class. What cannot be read is listed in FILE's "
        ".rejected.csv.",
    )
    predict.add_argument(
        "names",
        nargs="+",
        metavar="[MODEL] INPUT",
        help="INPUT: a file, a folder of files, or a .csv or .parquet table with a column `path`, or `text` where the "
        "model takes texts. MODEL: as --model",
    )
    predict.add_argument(
        "--model",
        help="champion or challenger of the project's registered model, a model's directory (models/target/full), "
        "models:/NAME/VERSION, models:/NAME@ALIAS, or NAME",
    )
    predict.add_argument(
        "--out",
        metavar="FILE",
        help="a .csv or .parquet file, below folders that are made where they are missing; without it CSV is printed",
    )
    predict.add_argument("--force", action="store_true", help="overwrite FILE")
    predict.add_argument(
        "--new-only",
        action="store_true",
        help="predict only what FILE, a folder of parts by date, does not know yet, and add it there",
    )
    _add_where(predict)


def _add_serve(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="Prefect's UI with a form and schedules for runs, a worker that runs them, and MLflow's pages",
        description="Starts all of it on loopback, and stops all of it at Ctrl-C. Where it is up already, it says "
        "where and exits with 0.",
    )
    serve.add_argument("--port", type=int, help="of Prefect's UI and API (4200)")
    serve.add_argument("--mlflow-port", type=int, help="of MLflow's pages (5000)")


def _add_reproduce(commands: Commands) -> None:
    reproduce = commands.add_parser(
        "reproduce",
        help="run a recorded run again at its revision, and compare what it makes file by file",
        description="Makes a worktree at the run's revision with its settings, and has `dvc repro` run every step "
        "there anew. On the CPU that the run was made on, models, predictions and verdict must be the same bytes; "
        "elsewhere mean test scores must agree within a tolerance. Exits with 0 where they do, 1 where not. The "
        "checkout stays as it is.",
    )
    reproduce.add_argument(
        "run", help="the first characters of an MLflow run's id, the name of an experiment (dvc exp list), or latest"
    )
    reproduce.add_argument(
        "--tolerance",
        type=float,
        default=0.03,
        metavar="SHARE",
        help="of a mean test score, where it is not the same CPU (0.03)",
    )


def _share_names(parser: argparse.ArgumentParser, options: argparse.Namespace, rest: list[str]) -> None:
    """Makes options.model and options.input of what was given without a flag: [MODEL] INPUT, options between them."""
    unknown = [text for text in rest if text.startswith("-") and text != "-"]
    names = [*options.names, *rest]
    if unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    if len(names) != (1 if options.model else 2):
        parser.error(
            f"predict takes one INPUT beside --model, or MODEL INPUT; {len(names)} names are given: {' '.join(names)}"
        )
    if options.new_only and not options.out:
        parser.error("--new-only needs --out FOLDER, which predictions are added to")
    options.input = names[-1]
    options.model = options.model or names[0]


def _add_promote(commands: Commands) -> None:
    promote = commands.add_parser(
        "promote",
        help="make a registered model the champion, where it is better",
        description="Compares a version of the project's registered model with the champion, on the rows that both "
        "predicted, and makes it the champion where it is better. `headstart run` does it with each new version.",
    )
    promote.add_argument("version", nargs="?", default="", help="its number; the challenger by default")
    promote.add_argument("--approve", action="store_true", help="make it the champion whatever the comparison says")
    commands.add_parser("rollback", help="make the champion before the present one champion again")


def _add_api(commands: Commands) -> None:
    api = commands.add_parser(
        "api",
        help="predict over HTTP, on loopback",
        description="Serves a model: POST /predict with images, texts or clips as files, GET /health, /metrics and "
        "/openapi.json. On another host than loopback's, requests need a token.",
    )
    api.add_argument("--model", default="champion", help="as predict takes it (champion)")
    api.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    api.add_argument("--port", type=int, default=8400, help="0: any that is free (8400)")
    api.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file that its owner alone may read, with the token that requests must bear; where --host is not "
        "loopback's it is .headstart/api-token, which is made where it is not there",
    )
    _add_where(api)


def _add_where(command: argparse.ArgumentParser) -> None:
    """Where a model predicts, and how much at a time."""
    command.add_argument("--device", default="", help="such as cpu or cuda:1; the first that is free by default")
    command.add_argument("--batch_size", type=int, help="rows at a time (64 on a CPU, 256 elsewhere)")


def _settings_help() -> str:
    """Every settings flag with its default; only made when help is asked for."""
    if not {"-h", "--help"} & set(sys.argv):
        return ""
    from flows.overrides import as_text
    from flows.register import EXTRAS
    from headstart.settings import Settings, knobs

    lines = ["settings (--NAME VALUE; lists with commas, an empty one is none):"]
    for name, field in knobs(Settings()).items():
        lines.append(f"  --{name} ({as_text(field.value)})\n      {field.line}")
    lines += ["flags that are no settings:", *(f"  --{name} PATH\n      {line}" for name, line in EXTRAS.items())]
    return "\n".join(lines)


def _stopped(command: str) -> str:
    kept = {"predict": "no file is written", "api": "what had come in is answered"}
    return f"stopped; {kept.get(command, 'finished cells and steps are kept, run again to go on')}\n"


def _stop(words: str, number: int, frame: FrameType | None) -> None:
    sys.stderr.write(words)
    sys.exit(143)


if __name__ == "__main__":
    main()

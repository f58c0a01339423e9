"""Commands for runs in parts, and for clusters: merge, slurm-script."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.options import Overrides, Profile, Quiet, Report, Seed, SuitePath, executes, shows
from qbench.cli.running import finish, watched

if TYPE_CHECKING:
    from qbench.execute.work import ExecutionOptions
    from qbench.reporting.look import Look

SCRIPT = """\
#!/bin/bash
# {title}: {count} parts, each a job of an array; the last one to end puts them together in {folder}/merged.
# Submit it with: sbatch {name}
# A job whose time is up is queued again and goes on where it stopped. Results so far: qbench merge {parts} -o FOLDER
#SBATCH --job-name={job}
#SBATCH --array=1-{count}
{resources}
#SBATCH --time={time}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@{notice}
#SBATCH --output={job}-%A-%a.log

part=$SLURM_ARRAY_TASK_ID
folder={folder}
mkdir -p "$folder"
rm -f "$folder/$part.done"
{command} --shard "$part/{count}" --output "$folder/$part" --requeue --quiet --no-report &
child=$!
trap 'kill -USR1 "$child" 2>/dev/null' USR1
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
[ "$code" -le 1 ] || exit "$code"  # 1: some cells failed, which the whole run says, too

touch "$folder/$part.done"
exec 9>"$folder/lock"  # which is let go of however this job ends
if [ "$(ls "$folder" | grep -c '\\.done$')" = {count} ] && flock --nonblock 9; then
    [ ! -e "$folder/merged/journal.jsonl" ] || {{ echo "$folder/merged is there already"; exit 0; }}
    rm -rf "$folder/merged"  # what a merge has left that was ended
    qbench merge {parts} --output "$folder/merged"
fi
"""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("merge")(merge_command)
    app.command("slurm-script")(slurm_script_command)


def _require(pattern: str, option: str, value: str, example: str) -> None:
    """Raise QbenchError for a value that Slurm would not take, or that would be another line of the script."""
    from qbench.errors import QbenchError

    if not re.fullmatch(pattern, value):
        raise QbenchError(f"{option} {value!r}: not accepted; accepted is, for example, {example}")


@shows
@executes
def merge_command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Parts of one run: folders, or names below runs/.")],
    options: ExecutionOptions,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the whole run.", show_default=False)],
    report: Report = True,
    quiet: Quiet = False,
    look: Look | None = None,
) -> None:
    """Put the parts of a run together, such as shards. What several have must be equal; none of them is changed."""
    from qbench.api.merging import merge

    with watched() as watch:
        made = merge(list(runs), output, on_event=watch.on_event, stop=watch.stop, **options)
    resume = f"go on with: qbench run SUITE -o {shlex.quote(str(output))}, or merge the parts that are missing, too"
    finish(made, watch.interrupted, look, quiet=quiet, report=report, resume=resume)


def slurm_script_command(
    suite: SuitePath,
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="The script; - prints it. Default: <suite>.sbatch.", show_default=False),
    ] = "",
    gpus: Annotated[int, typer.Option(min=0, help="GPUs: a job for each. 0: jobs without one.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Jobs in the array. Default: as many as GPUs, or 4.", show_default=False)
    ] = None,
    cpus: Annotated[int, typer.Option(min=1, help="Cores of each job.")] = 8,
    memory: Annotated[str, typer.Option(help="Memory of each job, as Slurm takes it.")] = "32G",
    time: Annotated[str, typer.Option(help="Time limit of each job, as Slurm takes it.")] = "24:00:00",
    partition: Annotated[str, typer.Option(help="Slurm's partition.", show_default=False)] = "",
    sbatch: Annotated[
        list[str] | None, typer.Option("--sbatch", metavar="OPTION", help="Further: --sbatch=--account=x. Repeatable.")
    ] = None,
    folder: Annotated[
        str, typer.Option(help="For the parts and the whole. Default: runs/<suite>-slurm.", show_default=False)
    ] = "",
    overrides: Overrides = None,
    profile: Profile = None,
    seed: Seed = None,
) -> None:
    """Write a batch script that runs a suite as a job array, goes on after time limits, and merges the parts."""
    from qbench.api.running import plan
    from qbench.errors import OutputError
    from qbench.reporting.console import Console

    _require(r"(\d+-)?\d+(:\d+){0,2}|UNLIMITED", "--time", time, "24:00:00")
    _require(r"\d+[KMGT]?", "--memory", memory, "32G")
    _require(r"\S*", "--partition", partition, "gpu")
    for each in sbatch or ():
        _require(r"--?[a-zA-Z][^\s=]*(=\S*)?", "--sbatch", each, "--account=name")
    planned = plan(suite, overrides=overrides or (), profile=profile, seed=seed, device="cpu")
    count = min(jobs or gpus or 4, planned.cells)
    given = ["qbench", "run", str(suite)]
    for text in overrides or ():
        given += ["--set", text]
    given += [] if profile is None else ["--profile", profile]
    given += [] if seed is None else ["--seed", str(seed)]
    resources = [f"--cpus-per-task={cpus}", f"--mem={memory}", *(["--gres=gpu:1"] if gpus else [])]
    resources += [*([f"--partition={partition}"] if partition else []), *(sbatch or ())]
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in planned.suite) or "run"
    where = folder or f"runs/{safe}-slurm"
    name = output or f"{safe}.sbatch"
    text = SCRIPT.format(
        title=" ".join(planned.suite.split()),
        count=count,
        name=shlex.quote(name) if name != "-" else "FILE",
        job=f"qbench-{safe}",
        resources="\n".join(f"#SBATCH {each}" for each in resources),
        time=time,
        notice=60,
        folder=shlex.quote(where),
        parts=f"{shlex.quote(where)}/[0-9]*[0-9]" if count > 9 else f"{shlex.quote(where)}/[0-9]",
        command=shlex.join(given),
    )
    console = Console()
    if name == "-":
        typer.echo(text, nl=False)
        return
    try:
        Path(name).write_text(text)
    except OSError as error:
        raise OutputError(name, error) from error
    said = f"{name}: {count} jobs, of {planned.cells} cells; submit it with: sbatch {shlex.quote(name)}"
    console.print(said, markup=False, highlight=False, soft_wrap=True)

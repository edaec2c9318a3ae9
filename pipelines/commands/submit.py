"""`headwater submit`: run a recipe as a Ray job; its log and exit status become those of this command.

The job's working directory is made of the code that is running here and the recipe with its paths made absolute, so the
cluster needs Headwater's dependencies but not Headwater. Paths must mean the same on every node: an object store, or a
shared disk.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from corpus.errors import HeadwaterError, UsageError
from corpus.io import storage
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe

PACKAGES = ("corpus", "pipelines", "tokenizer", "train")
FORWARDED = ("HEADWATER_", "AWS_")  # variables of these prefixes travel with the job
DEFAULT_ADDRESS = "http://127.0.0.1:8265"


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "submit",
        help="run a recipe as a Ray job; follow its log and exit status",
        epilog="Example: headwater submit recipes/sample.yaml --address http://head:8265",
    )
    add_recipe_arguments(parser)
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage")
    parser.add_argument(
        "--address",
        metavar="A",
        default=os.environ.get("RAY_ADDRESS") or DEFAULT_ADDRESS,
        help=f"the cluster's job server (default: RAY_ADDRESS, else {DEFAULT_ADDRESS})",
    )
    parser.set_defaults(run=submit)


def submit(arguments: argparse.Namespace) -> int:
    """Submit, follow, and return the job's exit status."""
    recipe = recipe_from(arguments)
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    from ray.job_submission import JobSubmissionClient

    if not arguments.address.startswith(("http://", "https://", "ray://")):
        raise UsageError(f"--address {arguments.address}: give the job server, e.g. {DEFAULT_ADDRESS}")
    try:
        client = JobSubmissionClient(arguments.address)
    except (ConnectionError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise HeadwaterError(
            f"no Ray job server answers at {arguments.address} ({first}); start one with `ray start --head`, "
            "or name it with --address"
        ) from None
    with tempfile.TemporaryDirectory(prefix="headwater-job-") as folder:
        _fill(Path(folder), recipe)
        until = ["--until", arguments.until] if arguments.until else []
        what: dict[str, Any] = {
            "entrypoint": " ".join(["python", "-m", "pipelines", "run", "recipe.yaml", *until]),
            "runtime_env": {"working_dir": folder, "env_vars": job_variables(os.environ)},
        }
        try:
            job = client.submit_job(**what)
        except RuntimeError as error:
            first = str(error).partition("\n")[0]
            raise HeadwaterError(
                f"the job server at {arguments.address} took no job ({first}); it may still be starting, and of two "
                "clusters on one machine each needs a --dashboard-agent-listen-port of its own"
            ) from None
        print(f"job {job} at {arguments.address}", flush=True)
        return asyncio.run(_follow(client, job))


def job_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the submitter's environment the job is given; where kernels are kept is for each node to decide."""
    return {name: value for name, value in environment.items() if name.startswith(FORWARDED)} | {
        "PYTHONUNBUFFERED": "1"
    }


async def _follow(client: "JobSubmissionClient", job: str) -> int:  # type: ignore[name-defined]  # noqa: F821
    async for lines in client.tail_job_logs(job):
        print(lines, end="", flush=True)
    details = client.get_job_info(job)
    print(f"job {job}: {details.status}", flush=True)
    code = details.driver_exit_code
    return int(code) if code is not None else int(details.status != "SUCCEEDED")


def _fill(folder: Path, recipe: Recipe) -> None:
    """Put the code and the recipe, its paths absolute, into the job's working directory."""
    here = Path(__file__).resolve().parents[2]
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.nbi", "*.nbc")
        shutil.copytree(here / package, folder / package, ignore=ignored)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(absolute(recipe).model_dump(mode="json"), sort_keys=False))


def absolute(recipe: Recipe) -> Recipe:
    """The recipe with its local paths made absolute."""
    inputs = [
        item.model_copy(update={"crawl": _absolute(item.crawl)})
        if isinstance(item, CrawlInput)
        else item.model_copy(update={"files": [_absolute(path) for path in item.files]})
        for item in recipe.inputs
    ]
    changes: dict[str, Any] = {"root": _absolute(recipe.root), "inputs": inputs}
    if recipe.train and recipe.train.reuse_stage_one:
        shorter = _absolute(recipe.train.reuse_stage_one)
        changes["train"] = recipe.train.model_copy(update={"reuse_stage_one": shorter})
    return recipe.model_copy(update=changes)


def _absolute(path: str) -> str:
    return os.path.abspath(path) if storage.scheme(path) == "file" else path

"""The cluster files are valid by the schemas of the tools that read them."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent


def test_ray_cluster_file_validates_against_rays_schema() -> None:
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    cluster = yaml.safe_load((ROOT / "deploy/ray-cluster.yaml").read_text())
    jsonschema.validate(cluster, schema)
    for mounted in cluster["file_mounts"].values():
        assert (ROOT / "deploy" / mounted).resolve().exists(), mounted


def _close(schema: Any) -> None:
    """Refuse unknown fields, as `kubectl apply` with strict validation does."""
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        if schema.get("x-kubernetes-int-or-string"):
            schema.pop("type", None)
            schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
        for part in list(schema.values()):
            _close(part)
    elif isinstance(schema, list):
        for part in schema:
            _close(part)


def test_rayjob_validates_against_kuberays_definition() -> None:
    definition = os.environ.get("KUBERAY_RAYJOB_CRD")
    if not definition:
        pytest.skip("KUBERAY_RAYJOB_CRD does not name KubeRay's ray.io_rayjobs.yaml")
    versions = {item["name"]: item for item in yaml.safe_load(Path(definition).read_text())["spec"]["versions"]}
    schema = versions["v1"]["schema"]["openAPIV3Schema"]
    _close(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    jsonschema.validate(yaml.safe_load((ROOT / "deploy/rayjob.yaml").read_text()), schema)


def test_rayjob_runs_a_command_and_recipe_that_exist_with_the_pinned_ray() -> None:
    job = yaml.safe_load((ROOT / "deploy/rayjob.yaml").read_text())
    words = job["spec"]["entrypoint"].split()
    assert words[:2] == ["headwater", "run"]
    assert (ROOT / words[2]).exists()
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pins["ray"]
    assert f"ARG RAY={pins['ray']}-" in (ROOT / "deploy/Dockerfile").read_text()

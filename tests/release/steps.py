"""Runs the steps of .github/workflows/release.yml here, in the order of its jobs, as the runner would on a tag.

Arguments: the tag, a directory for what the jobs hand on and publish, the directory with the stand-ins for programs that would publish.

Commands run as they stand. Of the actions, those that carry files between jobs are done here; checkout is the working tree, and
attestation needs GitHub. Tests (ci.yml) are another workflow.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

TAG, OUT, STAND_INS = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
ROOT = pathlib.Path(__file__).resolve().parents[2]
REPOSITORY = "label-studio-gate/label-studio-gate"
COMMIT = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
GITHUB = {
    "GITHUB_REF_NAME": TAG,
    "GITHUB_SHA": COMMIT,
    "GITHUB_REPOSITORY": REPOSITORY,
    "GITHUB_REPOSITORY_OWNER": REPOSITORY.split("/")[0],
    "GITHUB_ACTOR": "somebody",
}
CONTEXT = {"github.repository": REPOSITORY, "github.token": "a-token", "secrets.CARGO_REGISTRY_TOKEN": ""}
# Jobs are run for one of their variants: this machine's.
VARIANT = {"files": "ubuntu-22.04", "image": "amd64"}


def expand(text, matrix):
    def value(match):
        name = match.group(1)
        return str(matrix[name.removeprefix("matrix.")] if name.startswith("matrix.") else CONTEXT[name])

    return re.sub(r"\$\{\{\s*([\w.]+)\s*\}\}", value, str(text))


def variants(job):
    matrix = job.get("strategy", {}).get("matrix", {})
    if "include" in matrix:
        return matrix["include"]
    [(name, values)] = matrix.items() or [("", [""])]
    return [{name: value} for value in values]


def carry(action, given, matrix):
    """Uploads and downloads, by copying."""
    if action == "upload-artifact":
        source, target = ROOT / expand(given["path"], matrix), OUT / "artifacts" / expand(given["name"], matrix)
        target.mkdir(parents=True)
        for file in source.iterdir() if source.is_dir() else [source]:
            shutil.copy(file, target)
            if not source.is_dir():
                file.unlink()
    else:
        target = ROOT / given["path"]
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for file in sorted((OUT / "artifacts").glob("*/*")):
            shutil.copy(file, target)


def run(name, job, matrix, common):
    print(f"== job {name} {' '.join(map(str, matrix.values()))}", flush=True)
    for step in job["steps"]:
        title = step.get("name") or step.get("run", step.get("uses", "")).splitlines()[0]
        if "run" in step:
            print(f"-- {title}", flush=True)
            variables = {key: expand(value, matrix) for key, value in {**common, **step.get("env", {})}.items()}
            environment = {**os.environ, **GITHUB, **variables}
            environment["PATH"] = f"{STAND_INS}:{environment['PATH']}"
            # As the runner does for a step without a shell of its own.
            subprocess.run(["bash", "-e", "-c", expand(step["run"], matrix)], cwd=ROOT, env=environment, check=True)
            continue
        action = step["uses"].split("/")[1].split("@")[0]
        if action in ("upload-artifact", "download-artifact"):
            print(f"-- {action} {step['with'].get('name', '')}", flush=True)
            carry(action, step["with"], matrix)
        elif action not in ("checkout", "attest-build-provenance"):
            sys.exit(f"{action}: say in tests/release/steps.py what stands for it here")


workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
done = {"test"}
for name, job in workflow["jobs"].items():
    if name in done:
        continue
    needed = job.get("needs", [])
    for before in [needed] if isinstance(needed, str) else needed:
        assert before in done, f"{name} needs {before}"
    for matrix in variants(job):
        wanted = VARIANT.get(name)
        if wanted is None or wanted in matrix.values():
            run(name, job, matrix, workflow.get("env", {}))
    if name == "image":
        # The other architecture's image is made on a machine of its own.
        other = OUT / "artifacts/digest-arm64"
        other.mkdir()
        (other / "digest-arm64").write_text("sha256:" + "0" * 64 + "\n")
    done.add(name)

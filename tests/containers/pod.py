"""The Pod of a Deployment, for an engine without a control plane. Manifests come on standard input.

pod.py play IMAGE DIRECTORY   prints the Pod and its ConfigMap for `podman play kube`
pod.py probe NAME ADDRESS     does what the kubelet does for NAME (startup, readiness or liveness)

The Secret's SECRET_KEY and POSTGRE_PASSWORD come from $SECRET_KEY and $GATE_PASSWORD, and are written to DIRECTORY.
"""

import os
import pathlib
import sys
import urllib.request

import yaml

objects = [it for it in yaml.safe_load_all(sys.stdin) if it]


def of(kind):
    [found] = [it for it in objects if it["kind"] == kind]
    return found


deployment = of("Deployment")
template = deployment["spec"]["template"]
[container] = template["spec"]["containers"]


def play(image, directory):
    assert container["image"] == image, f"the manifests name {container['image']}, and {image} was built"
    # podman 4.3 would run curl in the container, which has none, and knows no preStop of this kind.
    for key in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle"):
        del container[key]
    values = {"SECRET_KEY": os.environ["SECRET_KEY"], "POSTGRE_PASSWORD": os.environ["GATE_PASSWORD"]}
    [volume] = [it for it in template["spec"]["volumes"] if "secret" in it]
    secret = volume.pop("secret")
    mount(secret, values, pathlib.Path(directory))
    volume["hostPath"] = {"path": directory, "type": "Directory"}
    yaml.safe_dump_all(
        [
            of("ConfigMap"),
            {
                "apiVersion": "v1",
                "kind": "Pod",
                # Without annotations, which podman limits to 63 characters each.
                "metadata": {"name": deployment["metadata"]["name"], "labels": template["metadata"]["labels"]},
                "spec": template["spec"],
            },
        ],
        sys.stdout,
    )


def mount(secret, values, directory):
    """Writes the files of a Secret's volume as the kubelet does: owned by root and by the Pod's fsGroup. podman 4.3
    writes them without decoding them, under their keys, for everybody to read."""
    group = template["spec"]["securityContext"]["fsGroup"]
    directory.mkdir(parents=True, exist_ok=True)
    for item in secret["items"]:
        file = directory / item["path"]
        file.write_text(values[item["key"]])
        os.chown(file, 0, group)
        file.chmod(secret["defaultMode"])


def probe(name, address):
    wanted = container[f"{name}Probe"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    request = wanted["httpGet"]
    url = f"http://{address}:{ports[request['port']]}{request['path']}"
    # Any status from 200 to 399 is a success, and urlopen raises for others.
    urllib.request.urlopen(url, timeout=wanted["timeoutSeconds"])


{"play": play, "probe": probe}[sys.argv[1]](*sys.argv[2:])

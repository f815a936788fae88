"""Checks manifests from standard input: the built-in kinds against Kubernetes' schemas, and the
references between them.

    check.py VERSION…  < manifests.yaml   prints the objects of other kinds as JSON, for validate.mjs
"""

import json
import sys

import kubernetes_validate
import yaml

versions = sys.argv[1:]
objects = [it for it in yaml.safe_load_all(sys.stdin) if it]
others = []
for it in objects:
    if "." in it["apiVersion"].split("/")[0] and not it["apiVersion"].split("/")[0].endswith(".k8s.io"):
        others.append(it)
        continue
    if it["apiVersion"].startswith("gateway.networking.k8s.io/"):
        others.append(it)
        continue
    for version in versions:
        kubernetes_validate.validate(it, version, strict=True)


def of(kind):
    found = [it for it in objects if it["kind"] == kind]
    assert found, f"there is a {kind}"
    return found


def equal(what, found, expected):
    assert found == expected, f"{what}: {found!r}, and not {expected!r}"


[deployment] = of("Deployment")
pod = deployment["spec"]["template"]["spec"]
labels = deployment["spec"]["template"]["metadata"]["labels"]
[container] = pod["containers"]


def selects(what, selector):
    assert selector and selector.items() <= labels.items(), f"{what} selects {selector!r}, and the Pods have {labels!r}"


selects("Deployment", deployment["spec"]["selector"]["matchLabels"])
for constraint in pod["topologySpreadConstraints"]:
    selects("topologySpreadConstraints", constraint["labelSelector"]["matchLabels"])
[service] = of("Service")
selects("Service", service["spec"]["selector"])
selects("PodDisruptionBudget", of("PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"])
[policy] = of("NetworkPolicy")
selects("NetworkPolicy", policy["spec"]["podSelector"]["matchLabels"])
equal("policyTypes", policy["spec"]["policyTypes"], ["Ingress", "Egress"])
assert all(rule.get("from") for rule in policy["spec"]["ingress"]), "not everybody"
equal("HorizontalPodAutoscaler", of("HorizontalPodAutoscaler")[0]["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"])
assert "replicas" not in deployment["spec"], "the autoscaler counts"

equal("enableServiceLinks", pod["enableServiceLinks"], False)
equal("automountServiceAccountToken", pod["automountServiceAccountToken"], False)
equal("serviceAccountName", pod["serviceAccountName"], of("ServiceAccount")[0]["metadata"]["name"])
equal("runAsNonRoot", pod["securityContext"]["runAsNonRoot"], True)
assert pod["securityContext"]["runAsUser"] > 0
equal("seccompProfile", pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
equal(
    "securityContext",
    container["securityContext"],
    {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
)
equal("livenessProbe", container["livenessProbe"]["httpGet"]["path"], "/health/live")
# Only the start waits for Postgres: an outage must neither restart the gates nor take them out of the Service.
equal("readinessProbe", container["readinessProbe"]["httpGet"]["path"], "/health/live")
startup = container["startupProbe"]
equal("startupProbe", startup["httpGet"]["path"], "/health/ready")
assert startup["failureThreshold"] * startup["periodSeconds"] >= 300, "a slow database has minutes"
assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
ports = {port["name"]: port["containerPort"] for port in container["ports"]}
for port in service["spec"]["ports"]:
    assert port["targetPort"] in ports

# Mounted objects exist, at the paths that the variables name.
[settings] = of("ConfigMap")
volumes = {volume["name"]: volume for volume in pod["volumes"]}
mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
equal("volumes", set(volumes), set(mounts))
equal("the ConfigMap", volumes["settings"]["configMap"]["name"], settings["metadata"]["name"])
variables = {it["name"]: it.get("value") for it in container["env"]}
equal("GATE_CONFIG", variables["GATE_CONFIG"], f"{mounts['settings']}/gate.toml")
for item in volumes["secrets"]["secret"]["items"]:
    equal(item["key"], variables[f"{item['key']}_FILE"], f"{mounts['secrets']}/{item['path']}")

# The annotations of ingress-nginx.
prefix = "nginx.ingress.kubernetes.io/"
namespace = deployment["metadata"].get("namespace", "label-studio")
for ingress in (it for it in objects if it["kind"] == "Ingress"):
    annotations = ingress["metadata"].get("annotations", {})
    assert f"{prefix}auth-cache-key" not in annotations, "one visitor's session would be handed to the next"
    backends = {
        path["backend"]["service"]["name"]
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }
    if f"{prefix}auth-url" not in annotations:
        equal("what nobody is asked about", backends, {service["metadata"]["name"]})
        continue
    host = f"{service['metadata']['name']}.{namespace}.svc.cluster.local"
    port = service["spec"]["ports"][0]["port"]
    at = annotations[f"{prefix}auth-url"].replace(":80/", "/")
    equal("auth-url", at, f"http://{host}{'' if port == 80 else f':{port}'}/auth/ingress-nginx")
    assert "Cookie" in annotations[f"{prefix}auth-response-headers"].replace(" ", "").split(",")
    equal("auth-always-set-cookie", annotations[f"{prefix}auth-always-set-cookie"], "true")
    assert service["metadata"]["name"] not in backends

print(json.dumps({"others": others, "settings": settings["data"]["gate.toml"], "env": variables}))

// Checks custom resources, read from standard input as a JSON array, against the schemas of their
// definitions.
import { readFileSync } from "node:fs";

const packages = {
  "traefik.io": "@kubernetes-models/traefik",
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "gateway.envoyproxy.io": "@kubernetes-models/envoy-gateway",
  "networking.istio.io": "@kubernetes-models/istio",
  "security.istio.io": "@kubernetes-models/istio",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};

const seen = [];
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const [group, version] = object.apiVersion.split("/");
  // Istio serves its v1 objects as v1beta1 too, and the package knows only that version.
  const known = group.endsWith("istio.io") ? "v1beta1" : version;
  const models = await import(`${packages[group]}/${group}/${known}`);
  const Model = models[object.kind] ?? models.default[object.kind];
  new Model({ ...object, apiVersion: `${group}/${known}` }).validate();
  seen.push(object.kind);
}
console.log(JSON.stringify(seen.sort()));

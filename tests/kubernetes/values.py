"""Prints the paths of a chart's values:  values.py CHART

As JSON: {"values": those in values.yaml, "schema": those that values.schema.json knows}.
"""

import json
import pathlib
import sys

import yaml

chart = pathlib.Path(sys.argv[1])
schema = json.loads((chart / "values.schema.json").read_text())


def values(value, schema, path=""):
    """Objects whose keys the schema knows are sections; everything else is a value."""
    known = (schema or {}).get("properties")
    if known and isinstance(value, dict):
        for key, inner in value.items():
            yield from values(inner, known.get(key), f"{path}.{key}")
    else:
        yield path[1:]


def properties(schema, path=""):
    if "properties" in schema:
        for key, inner in schema["properties"].items():
            yield from properties(inner, f"{path}.{key}")
    else:
        yield path[1:]


found = yaml.safe_load((chart / "values.yaml").read_text())
json.dump({"values": sorted(values(found, schema)), "schema": sorted(properties(schema))}, sys.stdout)

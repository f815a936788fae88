"""Checks a chart's values against its schema:  values.py CHART < overriding values, as YAML."""

import json
import pathlib
import sys

import jsonschema
import yaml

chart = pathlib.Path(sys.argv[1])
values = yaml.safe_load((chart / "values.yaml").read_text())


def merge(base, over):
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value


merge(values, yaml.safe_load(sys.stdin) or {})
jsonschema.validate(values, json.loads((chart / "values.schema.json").read_text()))

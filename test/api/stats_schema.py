"""Validate JSON by a schema: "stats_schema.py SCHEMA FILE...".

Knows the part of JSON Schema that doc/stats.schema.json uses, and refuses a schema that uses more.
"""

import json
import sys

KNOWN = {"$schema", "$defs", "$ref", "title", "description", "type", "const", "enum", "properties", "required",
         "additionalProperties", "items", "minimum", "maximum", "minItems"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def resolve(schema, root):
    while "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        schema = root["$defs"][name]
    unknown = set(schema) - KNOWN
    if unknown:
        raise SystemExit(f"the schema uses what this validator does not know: {unknown}")
    return schema


def of_type(value, name):
    if isinstance(value, bool) and name != "boolean":
        return False
    return isinstance(value, TYPES[name])


def errors(value, schema, root, where="$"):
    """Yield what is wrong with the value."""
    schema = resolve(schema, root)
    if "type" in schema and not of_type(value, schema["type"]):
        yield f"{where}: {value!r} is not of type {schema['type']}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} instead of {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "minimum" in schema and value < schema["minimum"] or "maximum" in schema and value > schema["maximum"]:
        yield f"{where}: {value!r} is out of range"
    if isinstance(value, dict):
        yield from errors_of_members(value, schema, root, where)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{where}: {len(value)} elements"
        for i, element in enumerate(value):
            yield from errors(element, schema.get("items", {}), root, f"{where}[{i}]")


def errors_of_members(value, schema, root, where):
    properties = schema.get("properties", {})
    for key in schema.get("required", []):
        if key not in value:
            yield f"{where}: {key} is missing"
    for key, member in value.items():
        if key in properties:
            yield from errors(member, properties[key], root, f"{where}.{key}")
        elif schema.get("additionalProperties", {}) is False:
            yield f"{where}: {key} is not in the schema"
        else:
            yield from errors(member, schema.get("additionalProperties", {}), root, f"{where}.{key}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    status = 0
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            found = list(errors(json.load(file), schema, schema))
        for line in found[:20]:
            print(f"{path}: {line}")
        status |= bool(found)
    return status


if __name__ == "__main__":
    sys.exit(main())

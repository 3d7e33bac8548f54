"""Answers the vectors with the component, run by wasmtime in Python: what an embedder would write.

Usage: python vectors.py CORE_WASM VECTORS_FOLDER

Prints a JSON list of {file, name, answer} or {file, name, error}, in the order of the files and of the vectors in
them. What is right is for the Rust test to say. `tests/vectors/README.md` tells what a vector is.

Nothing here knows a function of the component: arguments and answers are converted as the component's own types say.
"""

import json
import sys
from pathlib import Path
from typing import Any

from wasmtime import Engine, Store
from wasmtime.component import (
    Bool,
    Component,
    EnumType,
    FlagsType,
    Func,
    FuncType,
    Instance,
    Linker,
    ListType,
    OptionType,
    Record,
    RecordType,
    ResultType,
    String,
    TupleType,
    U8,
    U16,
    U32,
    U64,
    ValType,
    Variant,
    VariantType,
)


class Malformed(Exception):
    """There can be no call: an unknown function, or an input that is not its arguments."""


class Refused(Exception):
    """The component refuses what it was given; holds the name of the error's case."""


class Core:
    """The component, loaded once. It imports nothing, so the linker that it is given is empty."""

    def __init__(self, wasm: Path) -> None:
        engine = Engine()
        component = Component.from_file(engine, wasm)
        imports = component.type.imports(engine)
        if imports:
            raise SystemExit(f"the component imports {', '.join(imports)}, and should import nothing")
        self.store = Store(engine)
        self.instance: Instance = Linker(engine).instantiate(self.store, component)
        self.functions: dict[str, Func] = {}
        for interface, extern in component.type.exports(engine).items():
            interface_index = self.instance.get_export_index(self.store, interface)
            for name, item in extern.ty.exports(engine).items():
                # Types are exported too.
                if isinstance(item.ty, FuncType):
                    index = self.instance.get_export_index(self.store, name, interface_index)
                    self.functions[name] = self.instance.get_func(self.store, index)

    def call(self, name: str, arguments: Any) -> dict[str, Any]:
        """Calls a function with an object of its arguments, and returns an object."""
        function = self.functions.get(name)
        if function is None:
            raise Malformed(f"there is no function {name}")
        function_type = function.type(self.store)
        parameters = function_type.params
        if len(parameters) == 1 and isinstance(parameters[0][1], RecordType):
            values = [to_component(parameters[0][1], arguments)]
        else:
            values = list(fields_to_component(parameters, arguments).values())
        result_type = function_type.result
        result = from_component(result_type, function(self.store, *values))
        return result if isinstance(result, dict) and is_record(result_type) else {"result": result}


def is_record(kind: ValType) -> bool:
    """Whether a function that returns `kind` answers with a record, if it succeeds."""
    return isinstance(kind.ok if isinstance(kind, ResultType) else kind, RecordType)


def snake(name: str) -> str:
    return name.replace("-", "_")


def expect(is_right: bool, what: str, value: Any) -> None:
    if not is_right:
        raise Malformed(f"expected {what}, found {value!r}")


def fields_to_component(fields: list[tuple[str, ValType]], value: Any) -> dict[str, Any]:
    """Converts an object; an option, a flag and a mode may be left out, and there may be nothing else."""
    expect(isinstance(value, dict), "an object", value)
    rest = dict(value)
    # A file's mode is left out where it is plain, and null where it is unknown.
    is_file = [name for name, _ in fields] == ["path", "digest", "size", "executable"]
    converted = {}
    for name, kind in fields:
        if snake(name) in rest:
            converted[name] = to_component(kind, rest.pop(snake(name)))
        elif is_file and name == "executable":
            converted[name] = False
        elif isinstance(kind, OptionType):
            converted[name] = None
        elif isinstance(kind, Bool):
            converted[name] = False
        else:
            raise Malformed(f"{snake(name)} is missing")
    expect(not rest, "no other field", rest)
    return converted


def name_of(names: list[str], text: Any) -> str:
    """The name of the contract that is spelled so in JSON."""
    found = [name for name in names if snake(name) == text]
    expect(bool(found), f"one of {names}", text)
    return found[0]


def document(content: bytes) -> Any:
    """Bytes in JSON: a text where they are one, and not empty."""
    try:
        return content.decode() or []
    except UnicodeDecodeError:
        return list(content)


def to_component(kind: ValType, value: Any) -> Any:
    """Converts a value of JSON to what wasmtime takes for `kind`."""
    if isinstance(kind, RecordType):
        record = Record()
        # Names of the contract have hyphens, so they are no attributes that could be written out.
        for name, field in fields_to_component(kind.fields, value).items():
            setattr(record, name, field)
        return record
    if isinstance(kind, ListType):
        if isinstance(kind.element, U8):
            return value.encode() if isinstance(value, str) else bytes(value)
        expect(isinstance(value, list), "a list", value)
        return [to_component(kind.element, item) for item in value]
    if isinstance(kind, OptionType):
        return None if value is None else to_component(kind.payload, value)
    if isinstance(kind, EnumType):
        return name_of(kind.names, value)
    if isinstance(kind, VariantType):
        return case_to_component(kind, value)
    if isinstance(kind, FlagsType):
        expect(isinstance(value, list), "a list of names", value)
        return {name_of(kind.names, flag) for flag in value}
    if isinstance(kind, String):
        expect(isinstance(value, str), "a string", value)
        return value
    if isinstance(kind, Bool):
        expect(isinstance(value, bool), "true or false", value)
        return value
    if isinstance(kind, (U16, U32, U64)):
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        limit = 2 ** {U16: 16, U32: 32, U64: 64}[type(kind)]
        expect(is_integer and 0 <= value < limit, "an unsigned integer", value)
        return value
    raise TypeError(f"no function takes a {kind}")


def case_to_component(kind: VariantType, value: Any) -> Any:
    """Converts a case: its name, or an object of one member where it has a payload."""
    expect(isinstance(value, str) or isinstance(value, dict) and len(value) == 1, "a case", value)
    text, payload = (value, None) if isinstance(value, str) else next(iter(value.items()))
    cases = dict(kind.cases)
    name = name_of(list(cases), text)
    expect((cases[name] is None) == isinstance(value, str), "a case with its payload", value)
    converted = None if cases[name] is None else to_component(cases[name], payload)
    return Variant(name, converted) if is_tagged(kind) else converted


def classes(case: ValType | None) -> set[type]:
    """The Python types of a case's payload."""
    found: set[type] = set()
    if case is None:
        return {object}
    case.add_classes(found)
    return found


def is_tagged(kind: VariantType) -> bool:
    """Whether wasmtime wraps a case to say which one it is: it does not where all have different Python types."""
    each = [classes(case) for _, case in kind.cases]
    return len(set().union(*each)) != sum(map(len, each))


def case_of(kind: VariantType, value: Any) -> Variant:
    """The case that a value is, with its payload."""
    if isinstance(value, Variant):
        return value
    for name, case in kind.cases:
        if value is None if case is None else isinstance(value, tuple(classes(case))):
            return Variant(name, value)
    raise TypeError(f"{value!r} is no case of {kind}")


def from_component(kind: ValType, value: Any) -> Any:
    """Converts what wasmtime gives for `kind` to a value of JSON; the error of a result is raised."""
    if isinstance(kind, ResultType):
        return from_result(kind, value)
    if isinstance(kind, RecordType):
        return {snake(name): from_component(field, getattr(value, name)) for name, field in kind.fields}
    if isinstance(kind, TupleType):
        return [from_component(*pair) for pair in zip(kind.elements, value)]
    if isinstance(kind, ListType):
        if isinstance(kind.element, U8):
            return document(value)
        return [from_component(kind.element, item) for item in value]
    if isinstance(kind, OptionType):
        return None if value is None else from_component(kind.payload, value)
    if isinstance(kind, VariantType):
        value = case_of(kind, value)
        payload = dict(kind.cases)[value.tag]
        return snake(value.tag) if payload is None else {snake(value.tag): from_component(payload, value.payload)}
    return snake(value) if isinstance(kind, EnumType) else value


def from_result(kind: ResultType, value: Any) -> Any:
    # wasmtime wraps a value to say which side it is, unless the two sides have different Python types.
    if isinstance(value, Variant) and value.tag in ("ok", "err"):
        is_error, value = value.tag == "err", value.payload
    else:
        error_types: set[type] = set()
        kind.err.add_classes(error_types)
        is_error = isinstance(value, tuple(error_types))
    if not is_error:
        return from_component(kind.ok, value)
    raise Refused(snake(case_of(kind.err, value).tag) if isinstance(kind.err, VariantType) else "refused")


def answer(core: Core, vector: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": core.call(vector["call"], vector["in"])}
    except Malformed:
        return {"error": "malformed"}
    except Refused as refused:
        return {"error": str(refused)}


def main() -> None:
    wasm, folder = map(Path, sys.argv[1:])
    core = Core(wasm)
    answers = []
    for file in sorted(folder.glob("*.json")):
        for vector in json.loads(file.read_text(encoding="utf-8")):
            answers.append({"file": file.stem, "name": vector["name"], **answer(core, vector)})
    # Not every text can be printed as it is.
    print(json.dumps(answers))


main()

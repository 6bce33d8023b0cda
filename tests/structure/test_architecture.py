"""Who may import whom, read from the syntax tree; MAY_IMPORT is the one table of it."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from source_tree import MODULES, ROOT, SOURCES, module_name, parse, read_imports

from pipeline.cli.commands import COMMANDS

# package -> the packages of ours that it may import, besides itself and those of EVERYWHERE
MAY_IMPORT = {
    "directions": {"records"},
    "errors": set(),
    "extensions": {"params"},
    "files": {"errors"},
    "params": set(),
    "records": set(),
    "repository": {"errors"},
    "source_code": {"params"},
    "tables": {"records"},
    "shards": {"records"},
    "duplicates": {"records"},
    "demo": {"params", "records", "video"},
    "sources": {"tables"},
    "corpus": {"compute", "duplicates", "params", "records", "sources", "tables"},
    "video": {"params", "records", "sources"},
    "text": {"compute", "params", "records"},
    "compute": {"params", "records"},
    "transcoding": {"compute", "duplicates", "params", "records", "shards", "sources", "tables", "video"},
    "models": {"params", "records"},
    "losses": set(),
    "measures": {"records"},
    "pretrained": {"compute", "records"},
    "distributed": {"params"},
    "data": {"params", "records", "shards", "tables", "text"},
    "training": {"data", "distributed", "losses", "measures", "models", "params", "records"},
    "inference": {"data", "models", "params", "records"},
    "judges": {"data", "models", "params", "records", "text"},
    "onnx": {"data", "inference", "records"},
    "serving": {"rendering", "sampling", "video"},
    "sampling": {"corpus", "data", "inference", "onnx", "records", "rendering", "text"},
    "evaluation": {
        *(
            "compute",
            "data",
            "distributed",
            "duplicates",
            "inference",
            "judges",
            "measures",
            "models",
            "params",
            "pretrained",
            "records",
        ),
        *("records", "tables", "text"),
    },
    "page": {
        *("data", "evaluation", "inference", "models", "params", "records", "rendering", "shards"),
        *("tables", "text"),
    },
    "provenance": {"params", "records", "rendering", "repository", "video"},
    "rendering": {"duplicates", "records", "shards", "text", "video"},
    "monitoring": {"data", "models", "params", "records", "training"},
    # `planning` holds its estimate against the rate of matrix products, as `monitoring` measures it for a run
    "sweeping": {"compute", "evaluation", "params", "provenance", "repository"},
    "yaml_editor": {"params"},
    "planning": {"data", "distributed", "losses", "models", "monitoring", "params", "records", "training"},
}
EVERYWHERE = {"directions", "errors", "extensions", "files", "letters", "source_code", "yaml_editor"}
FREE = {"cli"}  # may import every package, but no stage

# package -> the files and folders that are its one door
DOORS = {
    "av": ("pipeline/video",),
    "c2pa": ("pipeline/provenance/credentials.py",),
    "dvc": ("pipeline/cli",),
    "dvclive": ("pipeline/monitoring/loggers.py",),
    "faiss": ("pipeline/evaluation/memorisation.py",),
    "ffmpeg": ("pipeline/video",),
    "jinja2": ("pipeline/page",),
    "imageio_ffmpeg": ("pipeline/video", "pipeline/cli"),
    "onnx": ("pipeline/onnx",),
    "onnxruntime": ("pipeline/onnx",),
    "openpyxl": ("pipeline/corpus/readers/spreadsheets.py",),
    "optuna": ("pipeline/sweeping/__init__.py",),
    "pyarrow": ("pipeline/shards", "pipeline/sources/tables.py", "pipeline/tables.py"),
    "ray": ("pipeline/compute/__init__.py",),
    "sentence_transformers": ("pipeline/text/embeddings.py",),
    "spacy": ("pipeline/text/tokenizer.py", "pipeline/text/embeddings.py"),
    "torch": (
        "pipeline/cli",
        "pipeline/data",
        "pipeline/distributed",
        "pipeline/evaluation",
        "pipeline/inference.py",
        "pipeline/judges",
        "pipeline/losses.py",
        "pipeline/models",
        "pipeline/monitoring",
        "pipeline/onnx/export.py",
        "pipeline/page/weights.py",
        "pipeline/planning",
        "pipeline/pretrained",
        "pipeline/training",
        "stages/train_model.py",
    ),
    "torch.distributed": ("pipeline/distributed",),
    "transformers": ("pipeline/pretrained/networks.py",),
    "vl_convert": ("pipeline/cli/prepare.py", "pipeline/cli/sweep_report.py"),
}
IMPORTERS = {"pipeline.cli.commands", "pipeline.extensions"}  # import the command that is called; what params refer to
PICKLERS = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
OF_OUR_CODE = {"AttributeError", "IndexError", "KeyError", "LookupError", "StopIteration", "TypeError"}
FILE_LINES, FUNCTION_LINES = 400, 40
LONG_FUNCTIONS = {"pipeline/training/loop.py"}  # only the training loop may ask for more


def package(name: str) -> str:
    """pipeline.video.ffmpeg -> video; empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


def faults(find: Callable[[Path], Iterable[object]]) -> list[str]:
    """What `find` returns for every module of ours, each with the module's path."""
    return [f"{path.relative_to(ROOT)}: {fault}" for path in SOURCES for fault in find(path)]


def test_a_package_imports_only_the_packages_it_may():
    def beyond(path: Path) -> Iterable[str]:
        own = package(module_name(path))
        if module_name(path).startswith("stages") or own in FREE:
            return []
        allowed = MAY_IMPORT.get(own, set()) | EVERYWHERE | {own}
        return (name for name in ours(path) if package(name) not in allowed)

    assert faults(beyond) == []


def test_no_module_imports_a_stage():
    assert faults(lambda path: (name for name in ours(path) if name.startswith("stages"))) == []


def test_every_import_of_ours_leads_to_a_module():
    assert faults(lambda path: ours(path) - MODULES.keys()) == []


def test_a_heavy_package_is_imported_through_its_door_only():
    def through_a_wall(path: Path) -> Iterable[str]:
        closed = [name for name, doors in DOORS.items() if not any(path.is_relative_to(ROOT / door) for door in doors)]
        return (name for name in read_imports(path) for package in closed if f"{name}.".startswith(f"{package}."))

    assert faults(through_a_wall) == []


def test_imports_are_absolute_and_readable():
    """A relative import or one made of a text would slip through the checks of this file, so those few are listed."""

    def unreadable(path: Path) -> Iterable[int]:
        relative = [node for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom) and node.level]
        made_of_text = [] if module_name(path) in IMPORTERS else calls(path, "import_module", "__import__")
        return (node.lineno for node in [*relative, *made_of_text])

    assert faults(unreadable) == []


def test_the_records_and_the_params_need_no_heavy_package():
    files = [ROOT / "pipeline/records.py", *(ROOT / "pipeline/params").glob("*.py")]
    packages = frozenset().union(*map(read_imports, files))
    top = {name.split(".")[0] for name in packages}
    assert top - sys.stdlib_module_names <= {"numpy", "pipeline", "pydantic", "yaml"}


def test_only_errors_that_have_a_name_are_caught():
    """`except Exception` hides the disk being full."""

    def broad(path: Path) -> Iterable[int]:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ExceptHandler):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                if any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds):
                    yield node.lineno

    assert faults(broad) == []


def test_no_message_about_a_file_repeats_what_python_says_of_our_code():
    """`'list' object has no attribute 'get'` tells a user nothing: `describe_fault` finds words."""

    def repeated(path: Path) -> Iterable[int]:
        for handler in ast.walk(parse(path)):
            if isinstance(handler, ast.ExceptHandler) and handler.name and names_used_in(handler.type) & OF_OUR_CODE:
                bare = (handler.name, f"first_line({handler.name})")
                told = [node.value for node in ast.walk(handler) if isinstance(node, ast.FormattedValue)]
                yield from (node.lineno for node in told if ast.unparse(node) in bare)

    own_code = "pipeline/extensions.py"  # that users write, and whose errors are told to them
    assert [fault for fault in faults(repeated) if not fault.startswith(own_code)] == []


def test_nothing_is_unpickled():
    """Of the pickling packages only the name of an error may be taken, to catch it."""

    def picklers(path: Path) -> Iterable[str]:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Import):
                yield from {alias.name for alias in node.names} & PICKLERS
            elif isinstance(node, ast.ImportFrom) and node.module in PICKLERS:
                yield from (alias.name for alias in node.names if not alias.name.endswith("Error"))

    assert faults(picklers) == []


def test_stages_and_commands_read_labels_and_vectors_in_the_sandbox():
    """They hand a reader on to what confines it, and call none."""
    readers = ("read_metadata", "read_rows", "read_vectors", "read_source")
    outside = [path for path in SOURCES if path.is_relative_to(ROOT / "stages") or package(module_name(path)) == "cli"]
    assert [path.name for path in outside if calls(path, *readers)] == []


def test_arrays_and_states_are_loaded_without_unpickling():
    def unsafe(path: Path) -> Iterable[int]:
        for call in calls(path, "load"):
            is_torch = ast.unparse(call.func) == "torch.load"
            if keyword(call, "allow_pickle") not in (None, "False") or (
                is_torch and keyword(call, "weights_only") != "True"
            ):
                yield call.lineno

    assert faults(unsafe) == []


def test_no_module_hides_one_of_the_standard_library():
    """A `tokenize.py` in the folder that Python starts in breaks Python itself."""
    assert faults(lambda path: {path.stem} & sys.stdlib_module_names) == []


def test_a_file_stays_under_400_lines():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {str(path): count for path, count in lines.items() if count >= FILE_LINES} == {}


def test_a_function_stays_under_40_lines():
    def long(path: Path) -> Iterable[str]:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines >= FUNCTION_LINES and str(path.relative_to(ROOT)) not in LONG_FUNCTIONS:
                    yield f"{node.name} has {lines}"

    assert faults(long) == []


def test_every_module_says_what_it_is_for():
    assert faults(lambda path: [] if ast.get_docstring(parse(path)) or not parse(path).body else ["silent"]) == []


def test_a_stage_says_inputs_and_outputs_and_ends_with_run():
    def unlike(path: Path) -> Iterable[str]:
        if path.parent.name == "stages" and path.name != "__init__.py":
            tree = parse(path)
            if "->" not in str(ast.get_docstring(tree)).splitlines()[0]:
                yield "its first line should say: inputs -> outputs"
            if ast.unparse(tree.body[-1]) != "if __name__ == '__main__':\n    run(main)":
                yield "it should end with run(main)"

    assert faults(unlike) == []


def test_all_public_code_is_used():
    """By the project itself: what only tests use, nobody needs. Commands are called by their decorators or names."""
    users = [*SOURCES, *(ROOT / "bench").glob("*.py"), *(ROOT / "tools").glob("*.py")]
    used = set().union(*map(names_used, users)) | set(COMMANDS)

    def unused(path: Path) -> Iterable[str]:
        kinds = (ast.FunctionDef, ast.ClassDef)
        made = [node for node in parse(path).body if isinstance(node, kinds) and not is_command(node)]
        return (node.name for node in made if not node.name.startswith("_") and node.name not in used)

    assert faults(unused) == []


def test_a_function_that_only_its_own_module_mentions_is_private():
    """So that what a module offers is what others need of it. Users' own networks are made of the parts of ours."""
    folders = ("bench", "docs", "extensions", "findings", "pipeline", "stages", "tests", "tools")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".md", ".py", ".sh")]
    mentions = Counter(word for path in files for word in set(re.findall(r"\w+", path.read_text(encoding="utf-8"))))

    def kept_to_itself(path: Path) -> Iterable[str]:
        if package(module_name(path)) == "models":
            return []
        made = [node for node in parse(path).body if isinstance(node, ast.FunctionDef) and not is_command(node)]
        public = [node.name for node in made if not node.name.startswith("_") and node.name not in COMMANDS]
        return (name for name in public if mentions[name] == 1)

    assert faults(kept_to_itself) == []


def names_used(path: Path) -> set[str]:
    """The names that a module reads, also in quoted annotations, in `module:name`, and in code for a child process."""
    nodes = list(ast.walk(parse(path)))
    hints = [getattr(node, key, None) for node in nodes for key in ("annotation", "returns")]
    quoted = [part.value for hint in hints if hint for part in ast.walk(hint) if isinstance(part, ast.Constant)]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    read |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    read |= {word for text in quoted if isinstance(text, str) for word in re.findall(r"\w+", text)}
    return read | {word for text in texts for word in re.findall(r"(?:^pipeline[\w.]+:|; from \S+ import )(\w+)", text)}


def names_used_in(expression: ast.expr | None) -> set[str]:
    """The names in an expression."""
    return {node.id for node in ast.walk(expression or ast.Tuple([])) if isinstance(node, ast.Name)}


def is_command(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a decorator of Typer is what calls it."""
    return any(ast.unparse(name).startswith("app.") for name in node.decorator_list)


def ours(path: Path) -> set[str]:
    """The modules of this project that the module imports, besides itself."""
    return {name for name in read_imports(path) if name.split(".")[0] in ("pipeline", "stages")} - {module_name(path)}


def calls(path: Path, *names: str) -> list[ast.Call]:
    """The calls in a module of a function or method with one of these names."""
    found = [node for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]
    return [node for node in found if ast.unparse(node.func).split(".")[-1] in names]


def keyword(call: ast.Call, name: str) -> str | None:
    """The source of a keyword argument, None where it is not given."""
    return next((ast.unparse(word.value) for word in call.keywords if word.arg == name), None)

"""A name in params leads to a built-in member or to the user's own code, or is refused with one message."""

import sys

import pytest

from pipeline.errors import UserError
from pipeline.extensions import Signature, digest_references, is_reference, list_references, resolve


class Shape:
    """A base class."""


BUILT_IN = {"sum": lambda a, b: a + b, "difference": lambda a, b: a - b}
TWO_NUMBERS = Signature("a function (a, b) -> number", arguments=("a", "b"))
A_SHAPE = Signature("a subclass of Shape", base=Shape, is_class=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder, from which modules can be imported; those are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("mine"):
            del sys.modules[name]


def write(project, **files):
    """Write modules of the package `mine`."""
    (project / "mine").mkdir(exist_ok=True)
    for name, text in files.items():
        (project / "mine" / f"{name}.py").write_text(text, encoding="utf-8")


def complaint(name, signature=TWO_NUMBERS, registry=BUILT_IN):
    """The message with which a name is refused."""
    with pytest.raises(UserError) as caught:
        resolve(name, registry, "train.operation", signature)
    return str(caught.value)


def test_a_built_in_name_is_looked_up():
    assert resolve("sum", BUILT_IN, "train.operation", TWO_NUMBERS) is BUILT_IN["sum"]


def test_a_reference_is_imported_from_the_folder_of_the_project(project):
    write(project, product="def product(a, b):\n    return a * b\n")
    assert resolve("mine.product:product", BUILT_IN, "train.operation", TWO_NUMBERS)(6, 7) == 42


def test_a_reference_may_lead_to_an_installed_package():
    assert resolve("operator:mul", BUILT_IN, "train.operation", TWO_NUMBERS)(6, 7) == 42


def test_a_class_may_be_called_for_with_its_base(project):
    write(project, shapes=f"from {Shape.__module__} import Shape\nclass Square(Shape):\n    pass\n")
    sys.modules.setdefault(Shape.__module__, sys.modules[__name__])
    assert resolve("mine.shapes:Square", {}, "train.shape", A_SHAPE).__name__ == "Square"


def test_a_misspelt_name_is_answered_with_the_nearest_and_all_built_in_ones():
    assert complaint("summ") == (
        "train.operation: 'summ' is not a built-in name (did you mean sum?); built in: sum, difference; otherwise "
        "package.module:object, which is a function (a, b) -> number"
    )


@pytest.mark.parametrize(
    ("text", "reference", "words"),
    [
        ("", "mine.absent:product", "has no module mine.absent in"),
        ("", "mine.broken:product", "has no product in"),
        ("import no_such_package", "mine.broken:f", "cannot be imported: No module named 'no_such_package'"),
        ("def f(:", "mine.broken:f", "cannot be imported: SyntaxError: "),
        ("1 / 0", "mine.broken:f", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise RuntimeError('first\\nsecond')", "mine.broken:f", "RuntimeError: first;"),
        ("import sys; sys.exit(0)", "mine.broken:f", "cannot be imported: its module ends the program, with 0"),
        ("f = 3", "mine.broken:f", "is not callable: int"),
        ("def f(a): pass", "mine.broken:f", "cannot be called with (a, b): too many positional arguments"),
        ("def f(a, b, c): pass", "mine.broken:f", "cannot be called with (a, b): missing a required argument: 'c'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_message(project, text, reference, words):
    write(project, broken=text)
    message = complaint(reference)
    assert message.startswith(f"train.operation: '{reference}' ") and words in message
    assert message.endswith(
        "; built in: sum, difference; otherwise package.module:object, which is a function (a, b) -> number"
    )
    assert "\n" not in message


def test_a_class_of_another_kind_is_refused():
    assert "is not a subclass of" in complaint("fractions:Fraction", A_SHAPE)
    assert complaint("math:pi", A_SHAPE, {}) == (
        f"train.operation: 'math:pi' is not a subclass of {Shape.__module__}.Shape; expected package.module:object, "
        "which is a subclass of Shape"
    )


@pytest.mark.parametrize("name", ["relativistic", "a:", ":b", "a.b", "cpu:2", "3-5", "a b:c", "a..b:c"])
def test_other_texts_are_no_references(name):
    assert not is_reference(name)


def test_references_are_found_anywhere_in_a_tree():
    tree = {"penalties": {"r1": 1.0, "mine.a:f": 2.0}, "list": [{"kind": "mine.b:G"}], "name": "hinge", "n": 3}
    assert list_references(tree) == ["mine.a:f", "mine.b:G"]


def test_the_digest_of_a_reference_covers_what_its_module_imports(project):
    write(
        project,
        loss="from mine import helper\nfrom mine.deep import inner\n",
        helper="VALUE = 1\n",
        deep="from . import deepest\n",
        deepest="",
        other="",
    )
    (project / "beside.py").write_text("", encoding="utf-8")
    before = digest_references({"adversarial": "mine.loss:f"})
    assert list(before) == ["mine.loss:f"]
    write(project, other="VALUE = 2\n")
    assert digest_references({"adversarial": "mine.loss:f"}) == before
    seen = [before]
    for name in ("loss", "helper", "deep", "deepest"):
        path = project / "mine" / f"{name}.py"
        path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        seen.append(digest_references({"adversarial": "mine.loss:f"}))
    assert len({digest["mine.loss:f"] for digest in seen}) == 5


def test_the_digest_of_a_reference_covers_what_it_takes_from_the_pipeline(project, monkeypatch):
    write(project, loss="from pipeline.files import digest_file\n")
    before = digest_references(["mine.loss:f"])
    monkeypatch.setattr("pipeline.extensions.digest_code", lambda module: f"another {module}")
    assert digest_references(["mine.loss:f"]) != before

"""What `make` does before the first stage: an environment, and DVC fitted to this machine."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from full_disks import limited_files
from typer.testing import CliRunner

from pipeline.cli.commands import COMMANDS, app
from pipeline.cli.prepare import configure_dvc, find_remote_fault, write_plots_template
from pipeline.errors import UserError
from pipeline.repository import COMMIT, IDENTITY, find_repository, git_fault
from tools import install


@pytest.fixture
def dvc_folder(tmp_path):
    """A project folder with no more than a .dvc/config."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    return tmp_path


def git_init(folder):
    subprocess.run(["git", "init", "--quiet", folder], check=True)


def run_git(*arguments):
    subprocess.run(["git", *arguments], check=True, stdout=subprocess.DEVNULL)


def make(root, *arguments, **variables):
    """`make` in the project's folder with an empty environment but for PATH and these variables."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | variables
    return subprocess.run(["make", *arguments], cwd=root, env=environment, capture_output=True, text=True)


def test_an_unpacked_archive_is_used_without_git_and_a_clone_with_it(dvc_folder):
    local = dvc_folder / ".dvc/config.local"
    configure_dvc(dvc_folder)
    assert "no_scm = true" in local.read_text()
    git_init(dvc_folder)
    configure_dvc(dvc_folder)
    assert "no_scm" not in local.read_text()


def test_settings_for_which_there_is_no_room_leave_those_of_the_user_as_they_are(dvc_folder):
    path = dvc_folder / ".dvc/config.local"
    path.write_text(f"['remote \"store\"']\n    password = {'secret' * 50}\n")
    kept = path.read_bytes()
    with limited_files(len(kept)), pytest.raises(OSError, match="too large"):
        configure_dvc(dvc_folder)
    assert path.read_bytes() == kept
    configure_dvc(dvc_folder)
    assert kept.strip().splitlines()[-1] in path.read_bytes()
    assert b"html_template" in path.read_bytes()
    assert sorted(one.name for one in path.parent.iterdir()) == ["config", "config.local"]


@pytest.mark.parametrize("name", ["config", "config.local"])
def test_settings_that_dvc_cannot_read_are_named_and_left_alone(dvc_folder, monkeypatch, name):
    monkeypatch.chdir(dvc_folder)
    path = Path(".dvc") / name
    path.write_text("[core\n    remote = mine\n")
    for call in (find_remote_fault, lambda: configure_dvc(Path())):
        with pytest.raises(UserError, match=f"^{path}: settings of DVC that cannot be read .*; correct it$"):
            call()
    assert path.read_text() == "[core\n    remote = mine\n"


def test_a_sub_folder_of_a_repository_is_used_with_git_unless_it_is_ignored_there(tmp_path):
    """DVC refuses files that git ignores."""
    git_init(tmp_path)
    (tmp_path / ".gitignore").write_text("unpacked/\n")
    for name in ("mine/videos/t2v", "unpacked/t2v"):
        (tmp_path / name / ".dvc").mkdir(parents=True)
        configure_dvc(tmp_path / name)
    assert "no_scm" not in (tmp_path / "mine/videos/t2v/.dvc/config.local").read_text()
    assert "no_scm = true" in (tmp_path / "unpacked/t2v/.dvc/config.local").read_text()
    assert find_repository(tmp_path / "mine/videos/t2v") == tmp_path


def test_what_keeps_experiments_from_being_recorded_is_named_with_its_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in IDENTITY:
        monkeypatch.setenv(name, "tester")
    folder, other = (tmp_path / "above" / name for name in ("project", "unpacked"))
    folder.mkdir(parents=True)
    other.mkdir()
    monkeypatch.chdir(folder)
    assert git_fault().startswith("this is not a git repository")
    git_init(tmp_path / "above")
    assert git_fault().startswith("there is no commit yet")
    run_git("commit", "--allow-empty", "--message", "empty")
    assert git_fault() == f"dvc.yaml is not in the last commit, and an experiment starts from that; {COMMIT}"
    (folder / "dvc.yaml").write_text("stages: {}")
    run_git("add", ".")
    run_git("commit", "--message", "start")
    assert git_fault() == ""
    monkeypatch.chdir(other)
    (tmp_path / "above/.gitignore").write_text("unpacked\n")
    assert f"{other.parent} ignores this folder; change its .gitignore" in git_fault()


def test_a_shallow_clone_is_told_since_dvc_records_nothing_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in IDENTITY:
        monkeypatch.setenv(name, "tester")
    origin = tmp_path / "origin"
    origin.mkdir()
    monkeypatch.chdir(origin)
    git_init(origin)
    (origin / "dvc.yaml").write_text("stages: {}")
    run_git("add", ".")
    run_git("commit", "--message", "start")
    run_git("commit", "--allow-empty", "--message", "more")
    run_git("clone", "--quiet", "--depth", "1", origin.as_uri(), str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    assert git_fault() == (
        "this is a shallow clone, in which DVC runs an experiment and records nothing; git fetch --unshallow"
    )
    run_git("fetch", "--quiet", "--unshallow")
    assert git_fault() == ""


def test_other_local_settings_stay(dvc_folder):
    local = dvc_folder / ".dvc/config.local"
    local.write_text("[core]\n    remote = mine\n['remote \"mine\"']\n    url = /somewhere\n")
    configure_dvc(dvc_folder)
    text = local.read_text()
    assert "remote = mine" in text
    assert "url = /somewhere" in text
    assert "html_template = plots.html" in text


@pytest.mark.slow
def test_what_is_prepared_is_not_written_again(dvc_folder):
    template = dvc_folder / ".dvc/plots.html"
    for _ in range(2):
        configure_dvc(dvc_folder)
        write_plots_template(template)
        os.utime(template, (1, 1))
    assert template.stat().st_mtime == 1


@pytest.mark.slow
def test_plots_show_without_the_internet(project):
    """DVC's own page loads its plotting library from a server; ours carries it."""
    project.t2v("prepare")
    (project.folder / "losses.csv").write_text("step,loss\n0,2\n1,1\n")
    project.dvc("plots", "show", "losses.csv", "--out", "plots")
    page = (project.folder / "plots/index.html").read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=[\"']?(?:https?:)?//", page) == []
    assert page.count("vegaEmbed") > 1
    assert '"loss"' in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to draw the page with")
def test_a_browser_without_network_draws_the_plots(project):
    project.t2v("prepare")
    (project.folder / "losses.csv").write_text("step,loss\n0,2\n1,1\n")
    project.dvc("plots", "show", "losses.csv", "--out", "plots")
    chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    page = project.run(*chromium, "--host-resolver-rules=MAP * ~NOTFOUND", f"file://{project.folder}/plots/index.html")
    assert re.search(r"<(canvas|svg)[^>]*class=\"marks\"", page)


def test_an_environment_that_is_right_is_left_alone(tmp_path, monkeypatch):
    folder = tmp_path / "environment"
    folder.mkdir()
    (folder / "installed.txt").write_text(f"{folder}\n{install._digest()}\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was started"))
    install.main(folder)
    link = tmp_path / ".venv"  # of another clone, to the same environment
    link.symlink_to(folder)
    install.main(link)


def test_a_folder_that_is_no_environment_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(SystemExit, match="make VENV=FOLDER"):
        install.main(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


def test_pip_is_told_where_to_look_in_uvs_words(monkeypatch):
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels/a /wheels/b")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert install._pip_settings([sys.executable, "-m", "pip"]) == {
        "UV_FIND_LINKS": "/wheels/a,/wheels/b",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
    }


def test_make_names_the_pythons_that_will_do_when_there_is_none(root):
    answer = make(root, "setup", "PYTHON=")
    assert answer.returncode == 2
    assert "no CPython 3.11 to 3.13 on PATH" in answer.stdout


def test_stages_keep_their_compiled_modules_also_where_the_surroundings_forbid_it(root):
    answer = make(root, "--no-print-directory", "--eval", "shown:;@env", "shown", PYTHONDONTWRITEBYTECODE="1")
    assert "PYTHONDONTWRITEBYTECODE" not in answer.stdout
    assert "PATH=" in answer.stdout


def test_the_environment_is_made_by_the_standard_library_alone(root):
    """It runs before anything is installed."""
    code = f"import runpy; runpy.run_path({str(root / 'tools/install.py')!r}, run_name='no')"
    subprocess.run([sys.executable, "-S", "-I", "-c", code], check=True)


HEAVY = ("PIL", "av", "dvc", "numpy", "pyarrow", "pydantic", "ray", "rich", "scipy", "spacy", "torch", "yaml")


def loaded(root, code, heavy):
    """Which of the heavy packages are loaded after `code`, in a process of its own."""
    code = f"import sys\n{code}\nprint(*sorted(set({heavy!r}) & set(sys.modules)), file=sys.stderr)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return answer.stderr.split()


def test_the_list_of_commands_loads_nothing_heavy(root):
    assert loaded(root, "from pipeline.cli.commands import app; app(['--help'], standalone_mode=False)", HEAVY) == []


def test_the_version_is_that_of_the_package_and_loads_nothing_heavy(root):
    answer = CliRunner().invoke(app, ["--version"])
    assert (answer.exit_code, answer.output) == (0, f"t2v {version('t2v')}\n")
    assert loaded(root, "from pipeline.cli.commands import app; app(['--version'], standalone_mode=False)", HEAVY) == []


def test_the_commands_start_without_torch_and_spacy(root):
    """Bad input is reported at once. spaCy counts since it loads torch, which takes seconds."""
    code = f"from pipeline.cli.commands import load_command; [load_command(name) for name in {list(COMMANDS)}]"
    assert loaded(root, code, ("torch", "spacy")) == []


def test_each_command_is_listed_and_answers_for_itself():
    runner = CliRunner()
    listed = runner.invoke(app, ["--help"]).output
    for name, line in COMMANDS.items():
        assert f"  {name} " in listed
        assert line in listed, "a line of --help is cut off where it is too long"
        answer = runner.invoke(app, [name, "--help"], catch_exceptions=False).output
        assert re.search(rf" {name} (run )?\[OPTIONS\]", answer), "`t2v sweep` stands for `t2v sweep run`"


def test_a_misspelt_command_is_answered_with_the_nearest():
    assert "Did you mean 'plan'?" in CliRunner().invoke(app, ["plna"]).output


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("t2v pl", "plan"),
        ("t2v plan --s", "--seconds"),
        ("t2v clips i", "inspect"),
        ("t2v recipe show ssv2-6", "ssv2-64"),
        ("t2v plan --recipe fi", "film"),
    ],
)
def test_a_shell_completes_commands_their_options_and_recipes(root, words, found):
    """As the scripts of --install-completion ask for it."""
    asked = {"_T2V_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    code = "import sys; sys.argv = ['t2v']; from pipeline.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert found in answer.stdout.split()


def test_every_dependency_of_the_project_is_held_to_an_exact_version(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in wanted} | {"celery", "kombu", "dulwich"}
    held = (root / "constraints.txt").read_text().lower()
    assert [name for name in sorted(names) if not re.search(rf"^{name}==\d", held, re.MULTILINE)] == []
    assert "+cpu" not in held


def test_extras_are_there_wherever_they_are_named_and_make_installs_all_but_three(root):
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pattern = re.compile(r"""(?:-e ['"]\.|t2v)\[(\w+)\]|name_install\(["'](\w+)["']\)""")
    files = [*root.glob("*.md"), *(path for top in ("docs", "pipeline") for path in (root / top).rglob("*.*"))]
    texts = (path.read_text(encoding="utf-8") for path in files if path.suffix in {".md", ".py", ".yaml"})
    named = {name for text in texts for pair in pattern.findall(text) for name in pair if name}
    assert len(named) >= 10
    assert named <= extras.keys()
    left_out = {name for name, packages in extras.items() if not set(packages) <= set(extras["dev"])}
    assert left_out == {"docs", "sentence", "ssh"}  # as docs/reference/params.md says


def test_ruff_is_the_same_before_a_commit_and_in_the_environment(root):
    held = re.search(r"^ruff==(\S+)", (root / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert f"rev: v{held}\n" in (root / ".pre-commit-config.yaml").read_text()


def test_the_files_of_a_shared_project_are_yaml_and_name_the_right_version(root):
    hidden = [*(root / ".github").rglob("*.yml"), root / "CITATION.cff", root / ".pre-commit-config.yaml"]
    files = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in hidden}
    assert files["ci.yml"]["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    version = re.search(r'^version = "(.+)"', (root / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert files["CITATION.cff"]["version"] == version
    assert f"## {version}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")

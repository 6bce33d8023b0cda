"""`t2v prepare`: configures DVC for this machine, with or without git, and plots that work offline."""

import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError, naming
from pipeline.files import atomic_write
from pipeline.repository import COMMIT, find_repository, git, list_settings, refuse_settings

if TYPE_CHECKING:
    from dvc.config import Config

TEMPLATE = "plots.html"  # relative to .dvc/, as DVC reads it
PAGE = """<!DOCTYPE html>
<html>
<head>
    <meta charset="utf-8">
    {refresh_tag}
    <title>DVC plots</title>
    %(mark)s
    <script>%(bundle)s</script>
    <style>table { border-spacing: 15px; }</style>
</head>
<body>
    {plot_divs}
</body>
</html>
"""

CONFIG = Path(".dvc/config")
SHORT = 7  # digits of a commit in messages


def prepare() -> None:
    """Configure DVC to run without git if there is none, and to show plots offline.

    `make` runs it every time; what is configured already is skipped.

    Example: t2v prepare
    """
    root = Path.cwd()
    if not (root / ".dvc" / "config").is_file():
        raise UserError(f"{root}: no .dvc/config here; run this in the project folder")
    write_plots_template(root / ".dvc" / TEMPLATE)
    configure_dvc(root)


def write_plots_template(path: Path) -> None:
    """Write DVC's page with the plotting library embedded: DVC's own loads it from a server, and is blank offline."""
    mark = f"<!-- vl-convert {version('vl-convert-python')} -->"
    if path.is_file() and mark in path.read_text(encoding="utf-8")[:1000]:
        return
    import vl_convert  # takes a second, needed once

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    page = PAGE.replace("%(mark)s", mark)
    with atomic_write(path) as temporary:
        temporary.write_text(page.replace("%(bundle)s", bundle), encoding="utf-8")


def configure_dvc(root: Path) -> None:
    """Set the machine's settings in .dvc/config.local: `core.no_scm` if, and only if, git cannot be used."""
    from dvc.config import Config  # takes a second

    config = open_config(root / ".dvc")
    local = config.read("local")
    core = {key: value for key, value in local["core"].items() if key != "no_scm"}
    if find_repository(root) is None:
        core["no_scm"] = "true"
    plots = local["plots"] | {"html_template": TEMPLATE}
    if (core, plots) == (local["core"], local["plots"]):
        return
    path = root / ".dvc" / Config.CONFIG_LOCAL
    # DVC does not write atomically: on a full disk, the user's settings would be lost.
    with naming(path), TemporaryDirectory(prefix=".prepare-", dir=path.parent) as folder:
        changed = Path(folder) / path.name
        if path.exists():
            shutil.copyfile(path, changed)
        with Config(str(path.parent), local_dvc_dir=folder, validate=False).edit("local", validate=False) as local:
            local["core"], local["plots"] = core, plots
        changed.replace(path)


def open_config(folder: Path) -> "Config":
    """DVC's config of a project, unchecked. Raises UserError with the name of an invalid file."""
    from dvc.config import Config, ConfigError  # takes a second

    for path in list_settings(folder):
        try:
            if path.is_file():
                Config.load_file(str(path))
        except ConfigError as error:
            raise refuse_settings(path, error) from None
    return Config(str(folder), validate=False)


def find_remote() -> str:
    """The name of the default remote; empty if there is none."""
    levels = _read_levels()
    return levels["local"]["core"].get("remote") or levels["repo"]["core"].get("remote") or ""


def find_remote_fault() -> str:
    """Why `dvc exp push` would push no data, or to another remote, with a remedy; empty if it works."""
    from dvc.config_schema import RelPath  # takes a second

    levels, name = _read_levels(), find_remote()
    if not name:
        return ""
    url = next((tree["remote"][name]["url"] for tree in levels.values() if name in tree["remote"]), "")
    if isinstance(url, RelPath):
        return (
            f"the path of the remote {name} is relative, which `dvc exp push` resolves from the root folder; "
            f"dvc remote modify {name} url {(CONFIG.parent / url).resolve()}"
        )
    local = levels["local"]
    if "remote" in local["core"] and "url" in local["remote"].get(name, {}):  # DVC uses these for every commit
        return ""
    if not _has_remote("HEAD"):
        return (
            f"the remote {name} is not in the last commit, so `dvc exp push` sends no data of experiments that start "
            f"from there; {COMMIT.replace(' .', f' {CONFIG}')}"
        )
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps").stdout.splitlines()
    starts = {"".join(ref.split("/")[2:4]) for ref in refs if ref.count("/") == 4}  # refs/exps/ab/cdef.../name
    if old := [start[:SHORT] for start in sorted(starts) if not _has_remote(start)]:
        return (
            f"some experiments start from a commit without a remote ({', '.join(old)}), so `dvc exp push` "
            f"sends no data of them; dvc remote add --local --default {name} {url}"
        )
    return ""


def _read_levels() -> dict[str, Any]:
    """DVC's config in the repository, and that of this machine."""
    config = open_config(CONFIG.parent)
    return {level: config.read(level) for level in ("repo", "local")}


def _has_remote(commit: str) -> bool:
    """Whether DVC's config in a commit has a default remote, or the commit has no config."""
    committed = git("show", f"{commit}:./{CONFIG}")
    return committed.returncode != 0 or "remote" in committed.stdout

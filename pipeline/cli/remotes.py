"""What is wrong with DVC's default remote, so far as `dvc exp push` would not tell."""

from pathlib import Path

from pipeline.repository import COMMIT, git

CONFIG = Path(".dvc/config")


def find_remote_fault() -> str:
    """Why `dvc exp push` would send no data, or to another place, with the way out; empty where it works."""
    from dvc.config import Config  # these take a second
    from dvc.config_schema import RelPath

    config = Config(str(CONFIG.parent), validate=False)
    levels = {level: config.read(level) for level in ("repo", "local")}
    name = levels["local"]["core"].get("remote") or levels["repo"]["core"].get("remote")
    if not name:
        return ""
    url = next((tree["remote"][name]["url"] for tree in levels.values() if name in tree["remote"]), "")
    if isinstance(url, RelPath):
        return (
            f"the path of the remote {name} is relative, and `dvc exp push` takes it from the root of the disk; "
            f"dvc remote modify {name} url {(CONFIG.parent / url).resolve()}"
        )
    committed = git("show", f"HEAD:./{CONFIG}")
    if committed.returncode == 0 and "remote" in levels["repo"]["core"] and "remote" not in committed.stdout:
        return (
            f"the remote {name} is not in the last commit, and `dvc exp push` sends no data of experiments that start "
            f"from there; {COMMIT.replace(' .', f' {CONFIG}')}"
        )
    return ""

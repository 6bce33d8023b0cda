"""A run that is pushed to a remote is whole in a fresh clone: nothing has to be made there again."""

import socket

import pytest
from projects import stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def shared(reproduced, tmp_path):
    """A copy of a reproduced project, to give a remote."""
    return reproduced.copy(tmp_path / "shared")


def push_and_clone(project, folder, storage, *settings):
    """A fresh clone of the project after `dvc push` to `storage` and `dvc pull` from there."""
    project.dvc("remote", "add", "--default", "storage", storage)
    for name, value in settings:
        project.dvc("remote", "modify", "storage", name, value)
    project.commit("a remote")
    project.dvc("push")
    clone = project.clone(folder)
    clone.t2v("prepare")
    clone.dvc("pull")
    return clone


def require_equal_and_done(clone, project):
    assert stages_run(clone.dvc("repro")) == []
    for name in ("data/model/generator.safetensors", "data/samples/grid.png", "metrics.json"):
        assert (clone.folder / name).read_bytes() == (project.folder / name).read_bytes()
    assert clone.run("git", "status", "--short") == ""


def test_a_run_travels_by_a_folder_and_its_generator_is_fetched_by_name(shared, tmp_path):
    clone = push_and_clone(shared, tmp_path / "clone", str(tmp_path / "storage"))
    require_equal_and_done(clone, shared)
    shared.run("git", "tag", "--annotate", "--message", "the first", "generator@v1.0.0")
    clone.dvc("artifacts", "get", str(shared.folder), "generator", "--out", "fetched")
    clone.dvc("get", str(shared.folder), "data/model", "--out", "by-path")
    for name in ("fetched", "by-path"):
        assert (clone.folder / name / "generator.safetensors").read_bytes() == (
            shared.folder / "data/model/generator.safetensors"
        ).read_bytes()
    printed = clone.t2v("reproduce", "data/samples/grid.png", "--model", "fetched")
    assert "data/samples/grid.png: equal" in printed
    told = clone.t2v("lineage", "joint_accuracy")
    assert next(line.split(": ")[1] for line in told.splitlines() if line.startswith("- stage: ")) == "evaluate"
    assert "- stage: draw" in told
    assert "match the lock files" in clone.t2v("verify", "--quick")


def test_an_experiment_travels_with_its_data(shared, tmp_path):
    one = push_and_clone(shared, tmp_path / "one", str(tmp_path / "storage"))
    one.dvc("exp", "run", "--name", "larger", "-S", "render.scale=3", "render")
    one.dvc("exp", "push", "origin", "larger")
    other = shared.clone(tmp_path / "other")
    other.t2v("prepare")
    other.dvc("exp", "pull", "origin", "larger")
    other.dvc("exp", "apply", "larger")
    assert (other.folder / "data/samples/grid.png").read_bytes() == (one.folder / "data/samples/grid.png").read_bytes()


def test_a_run_travels_by_s3(shared, tmp_path):
    pytest.importorskip("dvc_s3")
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    storage = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    storage.start()
    try:
        address = f"http://127.0.0.1:{port}"
        client = boto3.client("s3", endpoint_url=address, aws_access_key_id="tester", aws_secret_access_key="secret")
        client.create_bucket(Bucket="clips")
        shared.environment = shared.environment | KEYS
        clone = push_and_clone(shared, tmp_path / "clone", "s3://clips/t2v", ("endpointurl", address))
        require_equal_and_done(clone, shared)
        assert client.list_objects_v2(Bucket="clips", Prefix="t2v/files/md5/")["KeyCount"] > 20
    finally:
        storage.stop()

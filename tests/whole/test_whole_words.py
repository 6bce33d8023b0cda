"""Word vectors in whole pipelines: another file of them, and a word that is held out."""

import json

import numpy as np
import pytest
from page_runs import ParsedPage
from projects import stages_run
from provenance import read_provenance

from pipeline.records import Caption, Clip
from pipeline.tables import read_table
from pipeline.text.embeddings import read_embeddings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def project(reproduced, tmp_path):
    """A copy of the reproduced project, to change."""
    return reproduced.copy(tmp_path / "project")


def write_vectors(project, turned):
    """A file with a vector for each word of the captions; of two words that follow on each other one is near."""
    words = json.loads((project.folder / "data/captions/vocabulary.json").read_text(encoding="utf-8"))["words"][2:]
    angles = {word: number // 2 + 0.1 * (number % 2) + turned for number, word in enumerate(sorted(words))}
    rows = [f"{word} {np.cos(angle):.6f} {np.sin(angle):.6f}" for word, angle in angles.items()]
    (project.folder / "words.vec").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_another_content_of_a_file_of_vectors_runs_the_stages_that_read_it(project):
    write_vectors(project, 0.0)
    project.change({"tokenize": {"embeddings": {"source": "file", "path": "words.vec"}}})
    assert stages_run(project.dvc("repro", "tokenize")) == ["tokenize"]
    before = (project.folder / "data/captions/vectors.safetensors").read_bytes()
    assert stages_run(project.dvc("repro", "tokenize")) == []
    write_vectors(project, 0.5)
    assert stages_run(project.dvc("repro", "tokenize")) == ["tokenize"]
    assert (project.folder / "data/captions/vectors.safetensors").read_bytes() != before
    project.change({"filter": {"test_words": 0.2, "test_words_by": "near", "word_vectors": "words.vec"}})
    assert stages_run(project.dvc("repro", "filter")) == ["filter"]
    assert json.loads((project.folder / "data/labels/report.json").read_text(encoding="utf-8"))["test_words"]
    write_vectors(project, 1.0)
    assert stages_run(project.dvc("repro", "filter")) == ["filter"]


def test_a_held_out_word_is_trained_around_rendered_and_sampled(project):
    shown = read_table(project.folder / "data/labels/clips.parquet", Clip)
    word = sorted({name for clip in shown for name in clip.objects if " " not in name})[0]
    project.change(
        {
            "filter": {"test_words": [word]},
            "tokenize": {"oov": "subword", "embeddings": {"source": "subword", "width": 32}},
            "train": {"captions": {"words": "frozen"}},
            "render": {"new_words": ["album"]},
        }
    )
    stages = ["filter", "transcode", "tokenize", "train", "judge", "evaluate", "render", "report", "export"]
    assert stages_run(project.dvc("repro")) == stages
    clips = read_table(project.folder / "data/labels/clips.parquet", Clip)
    assert {clip.split for clip in clips if word in clip.objects} == {"test_words"}
    embeddings = read_embeddings(project.folder / "data/model/vectors.safetensors")
    place = embeddings.words.index(word)
    assert place >= embeddings.learned and embeddings.vectors[place].any()
    captions = read_table(project.folder / "data/captions/captions.parquet", Caption)
    assert any(place in caption.token_ids for caption in captions)
    page = ParsedPage((project.folder / "data/report/index.html").read_text(encoding="utf-8"))
    assert f"words held out of training{word}" in page.text
    assert any(alt.startswith("generated: ") and f" {word} " in alt for alt in page.attributes("alt"))
    said = read_provenance(project.folder / "data/samples/grid.png")["captions"]
    assert any(f" {word} " in text for row in said[:2] for text in row)
    assert [" album " in row[0] for row in said[2:]] == [True, True]
    for caption in (captions[0].text, f"pushing a {word} from left to right", "pushing some albums from left to right"):
        project.t2v("sample", caption, "-o", "sample.npz", "-n", "2")
        with np.load(project.folder / "sample.npz") as file:
            assert file["frames"].shape == (2, 8, 16, 16, 3)

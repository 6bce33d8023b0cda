"""What a plan knows of the data, and what it assumes."""

from training_sets import T, tiny_params, write_project

from pipeline.data.dataset import DataFolders
from pipeline.planning import TOKENS, WORDS, read_assumptions, resident_bytes

PLACES = ("labels", "clips", "captions")


def test_words_and_clips_are_counted_where_there_are_data_and_assumed_elsewhere(tmp_path):
    write_project(tmp_path)
    params = tiny_params()
    found = read_assumptions(params, DataFolders(*(tmp_path / "data" / name for name in PLACES)))
    assert (found.clips, found.vectors) == (22, None)
    assert found.tokens == len(["pushing", "a", "book", "from", "left", "to", "right"])
    assumed = read_assumptions(params, DataFolders(*(tmp_path / "nothing" / name for name in PLACES)))
    assert (assumed.words, assumed.tokens, assumed.clips) == (WORDS, TOKENS, 0)
    assert "no such" in assumed.told


def test_clips_count_only_where_they_lie_on_the_device():
    params = tiny_params()
    each = T * params.clip.height * params.clip.width * 3

    def loading(kind):
        return params.model_copy(update={"compute": params.compute.model_copy(update={"loading": kind})})

    assert resident_bytes(loading("resident"), 10, 5 * each) == 10 * each
    assert resident_bytes(loading("auto"), 10, 20 * each) == 10 * each
    assert resident_bytes(loading("auto"), 10, 19 * each) == 0
    assert resident_bytes(loading("streamed"), 10, 100 * each) == 0

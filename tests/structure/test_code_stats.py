"""How much a stranger has to read to follow one step of training."""

from tools.code_stats import LAYERS, read_params, trace_step


def test_a_penalised_step_is_followed_in_at_most_eight_files():
    calls = trace_step(read_params())
    followed = sorted(name for name in calls if not name.startswith(LAYERS))
    assert "pipeline/losses.py" in followed
    assert len(followed) <= 8, followed

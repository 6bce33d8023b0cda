"""A run that nobody watches is quiet and gives the bytes of one that is watched."""

import torch
from training_sets import CPU, TEN_STEPS, tiny_params, tiny_set

from pipeline.distributed import Rank
from pipeline.monitoring.loggers import FixedSamples, RunMonitor
from pipeline.training.loop import Run, Trainer


def test_watching_a_run_changes_no_byte_and_without_a_monitor_it_is_quiet(tmp_path, capsys):
    params, clips = tiny_params(**TEN_STEPS), tiny_set(tmp_path / "data")
    run = Run(params.seed, params.clip, params.train, 20)
    logging = params.logging.model_copy(update={"sample_clips": 16})
    monitor = RunMonitor(CPU, params.train, logging, tmp_path / "logs", FixedSamples(params.seed, clips))
    watched, alone = Trainer(Rank(0, 1, CPU), run, clips, monitor=monitor), Trainer(Rank(0, 1, CPU), run, clips)
    watched.train()
    assert "train: 80/80 clips" in capsys.readouterr().err
    assert list((tmp_path / "logs").glob("samples-*.gif"))
    alone.train()
    assert capsys.readouterr() == ("", "")
    assert alone.history == watched.history
    for name in ("generator", "discriminator", "average"):
        mine, theirs = (getattr(trainer.nets, name).state_dict() for trainer in (alone, watched))
        assert all(torch.equal(value, theirs[key]) for key, value in mine.items())

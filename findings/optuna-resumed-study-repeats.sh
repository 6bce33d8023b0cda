#!/usr/bin/env bash
# A study of Optuna that is kept in a file, with a seeded sampler so that the search can be made again: when the program is stopped
# and started again on the same study, the sampler starts again too, and proposes the points that have been tried already. TPE, which
# looks at the results, does so as long as it draws at random (10 trials unless told).
#
# Seen on 2026-11-29 with Optuna 5.0.0; three trials, then three in a new process on the same storage:
#   RandomSampler, TPESampler: the second three are the first three again; QMCSampler: three new points
#
# What this project does: the seed of the sampler is the sweep's plus the number of trials so far, so a stopped sweep goes on as if
# it had not stopped.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check optuna==5.0.0 scipy
cat > search.py <<'P'
import sys
import warnings

import optuna

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)
sampler = getattr(optuna.samplers, sys.argv[1])(seed=17)
study = optuna.create_study(study_name="s", storage=f"sqlite:///{sys.argv[1]}.db", load_if_exists=True, sampler=sampler)
for _ in range(3):
    trial = study.ask()
    study.tell(trial, trial.suggest_float("rate", 0, 1))
rates = [trial.params["rate"] for trial in study.trials]
print(len(rates) - len(set(rates)))
P
echo "versions: optuna $(venv/bin/python -c 'import optuna; print(optuna.__version__)')"
echo "expected: a study that goes on tries new points"
found=""
for sampler in RandomSampler TPESampler QMCSampler; do
    venv/bin/python search.py $sampler > /dev/null
    repeated=$(venv/bin/python search.py $sampler)
    echo "seen:     $sampler: $repeated of 3 points tried after the restart had been tried before"
    found="$found$repeated "
done
[ "$found" = "3 3 0 " ] || { echo "changed: a seeded sampler no longer repeats itself in the recorded way" >&2; exit 1; }
echo "as recorded"

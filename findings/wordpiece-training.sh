#!/usr/bin/env bash
# The WordPiece trainer of Hugging Face tokenizers gives other ids, and other pieces, each time it is trained on the same
# captions; the BPE trainer of the same library does not. There is no seed to set. A text encoder whose embeddings were
# trained with one of these vocabularies reads nonsense through the next, although every setting and every input is the same.
#
# Seen on 2026-11-28 with tokenizers 0.23.3; different vocabularies in 8 trainings on 24 captions:
#   WordPiece: 8 (7 sets of pieces; varies), BPE: 1
#
# What this project does: words are counted and sorted by count and then by letters; subwords are no learned vocabulary.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check tokenizers==0.23.3
venv/bin/python - <<'E'
import sys
from itertools import product

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

OBJECTS = "box bottle banana book mug pen paper candle remote marker wallet spoon".split()
CAPTIONS = [f"pushing a {name} from {way}" for name, way in product(OBJECTS, ("left to right", "right to left"))]


def train(model, trainer):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(CAPTIONS, trainer)
    return tuple(sorted(tokenizer.get_vocab().items()))


print(f"versions: tokenizers {tokenizers.__version__}")
print("expected: one vocabulary each, since captions and settings are the same")
settings = {"vocab_size": 80, "show_progress": False, "special_tokens": ["[UNK]"]}
wordpiece = {train(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(**settings)) for _ in range(8)}
bpe = {train(models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(**settings)) for _ in range(8)}
pieces = {frozenset(piece for piece, _ in vocabulary) for vocabulary in wordpiece}
print(f"seen:     8 trainings, different vocabularies: WordPiece {len(wordpiece)} ({len(pieces)} sets of pieces), BPE {len(bpe)}")
if len(wordpiece) == 1 or len(bpe) != 1:
    sys.exit("changed: the WordPiece trainer repeats itself now, or the BPE trainer no longer does")
print("as recorded")
E

"""Stage `tokenize`: clips.parquet -> captions.parquet, vocabulary.json, word vectors, corrections, drops, report."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.compute.sandbox import SandboxMode
from pipeline.errors import run
from pipeline.monitoring import report_drops
from pipeline.params import TokenizeParams, load_params
from pipeline.records import CORRECTIONS, DROPS, SPLITS, UNKNOWN_ID, VECTORS, Caption, Clip, Correction, Drop
from pipeline.tables import read_table, write_report, write_table
from pipeline.text.captions import read_sandboxed_source, tokenize_clips
from pipeline.text.embeddings import make_embeddings, write_embeddings
from pipeline.text.vocabulary import write_vocabulary


def tokenize_captions(
    labels: Path, vectors: Path, out: Path, options: TokenizeParams, sandbox: SandboxMode = "off"
) -> None:
    """Tokenize the captions of all chosen clips; files are written only at the end.

    External vectors are read in a process that `sandbox` confines.
    """
    clips = read_table(labels / "clips.parquet", Clip)
    done = tokenize_clips(clips, options)
    split_of = {clip.id: clip.split for clip in clips}
    trained = [caption.tokens for caption in done.captions if split_of[caption.id] == "train"]
    read = partial(read_sandboxed_source, sandbox=sandbox)
    embeddings = make_embeddings(done.vocabulary, trained, options.embeddings, vectors, read)
    write_table(out / "captions.parquet", Caption, done.captions)
    write_table(out / CORRECTIONS, Correction, done.corrections)
    write_table(out / DROPS, Drop, done.drops)
    write_vocabulary(out / "vocabulary.json", done.vocabulary)
    write_embeddings(out / VECTORS, embeddings)
    unknown = Counter(split_of[caption.id] for caption in done.captions if UNKNOWN_ID in caption.token_ids)
    write_report(
        out / "report.json",
        read=len(clips),
        kept=len(done.captions),
        drops=done.drops,
        words=len(done.vocabulary),
        words_not_learned=done.vocabulary.unlearned,
        words_without_vector=embeddings.list_missing() if embeddings else [],
        vector_warnings=embeddings.warnings if embeddings else [],
        words_corrected=sum(correction.count for correction in done.corrections),
        longest_caption=max(len(caption.tokens) for caption in done.captions),
        different_captions=len({caption.tokens for caption in done.captions}),
        captions_without_object=sum(not caption.object_ids for caption in done.captions),
        captions_with_unknown_words={split: unknown[split] for split in SPLITS},
    )
    _tell_revealed(done.revealed)
    for warning in embeddings.warnings if embeddings else []:
        print(f"tokenize: {warning}")
    print(f"tokenize: {len(done.captions)} captions, {len(done.vocabulary)} words, {len(done.drops)} dropped")
    report_drops("tokenize", done.drops, out / DROPS)


def _tell_revealed(revealed: Mapping[str, str]) -> None:
    if revealed:
        pairs = ", ".join(f"{word} ({known})" for word, known in revealed.items())
        message = "tokenize.lemmas makes held-out words the same as words of the train split, in brackets"
        print(f"tokenize: {message}: {pairs}; add these to filter.test_words, or set tokenize.lemmas: false")


def main(
    labels: Path = Path("data/labels"),
    vectors: Path = Path("data/labels/clips.parquet"),
    out: Path = Path("data/captions"),
) -> None:
    """Tokenize the captions of the chosen clips."""
    params = load_params(Path("params.yaml"))
    tokenize_captions(labels, vectors, out, params.tokenize, params.compute.sandbox)


if __name__ == "__main__":
    run(main)

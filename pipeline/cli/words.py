"""`t2v words near`: lists the objects of the training clips that are nearest to a word."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.commands import JsonOption
from pipeline.cli.printing import open_console, print_table
from pipeline.errors import UserError, describe_fault
from pipeline.files import read_json
from pipeline.params import load_params
from pipeline.records import FIRST_WORD_ID, VECTORS, Clip, ModelFiles, find_model_files
from pipeline.tables import read_table

if TYPE_CHECKING:
    from pipeline.text.embeddings import Lookup
    from pipeline.text.vector_files import Vector

# The learned word embeddings in the weights: those for objects, else those for all words.
LEARNED = ("object_encoder.words.embedding.weight", "caption_encoder.words.embedding.weight")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@app.callback()
def words() -> None:
    """Query the word vectors."""


@app.command()
def near(
    word: Annotated[str, typer.Argument(help="a word, or a name of several words: album, 'photo album'")],
    vectors: Annotated[Path | None, typer.Option(help="text file of word vectors [default: those of the run]")] = None,
    labels: Annotated[Path, typer.Option(help="folder written by `filter`")] = Path("data/labels"),
    captions: Annotated[Path, typer.Option(help="folder written by `tokenize`")] = Path("data/captions"),
    model: Annotated[Path, typer.Option(help="folder written by `train`")] = Path("data/model"),
    count: Annotated[int, typer.Option(min=1, help="number of objects")] = 10,
    as_json: JsonOption = False,
) -> None:
    """List the objects of the training clips, nearest first, with cosine and number of clips.

    Uses the vectors of tokenize.embeddings, or the embeddings of the generator if words are learned.

    Example: t2v words near mug
    """
    from pipeline.text.embeddings import embed_names, rank_neighbours, tokenize_name
    from pipeline.text.vocabulary import read_vocabulary

    clips = read_table(labels / "clips.parquet", Clip)
    objects = [name for clip in clips if clip.split == "train" for name in clip.objects]
    vocabulary = read_vocabulary(captions / "vocabulary.json")
    wanted = {part for name in {word, *objects} for part in tokenize_name(name, vocabulary)}
    lookup, source = _find_lookup(vectors, captions / VECTORS, model, wanted)
    find_vector = embed_names(vocabulary, lookup)
    if find_vector(word) is None:
        raise UserError(
            f"{source}: has no vector for {word!r}; choose another word, or vectors with a larger vocabulary"
        )
    found = rank_neighbours(word, objects, find_vector)
    if not objects:
        raise UserError(f"{labels}: no clip of the train split has an object to list")
    if not found:
        raise UserError(f"{source}: has no vector for any of the {len(set(objects))} objects of the train split")
    if as_json:
        print(json.dumps([asdict(neighbour) for neighbour in found[:count]], indent=2))
        return
    console = open_console()
    rows = [[neighbour.name, f"{neighbour.cosine:.2f}", str(neighbour.clips)] for neighbour in found[:count]]
    print_table(console, [f"nearest to {word}", "cosine", "clips"], rows)


def _find_lookup(text_file: Path | None, made: Path, model: Path, wanted: set[str]) -> "tuple[Lookup, Path]":
    """The vectors of a text file, else those written by `tokenize`, else those learned by a generator."""
    from pipeline.text.embeddings import read_embeddings
    from pipeline.text.sandboxed import read_vector_file

    if text_file:
        sandbox = load_params().compute.sandbox if Path("params.yaml").exists() else "auto"
        return read_vector_file(text_file, wanted, 0, sandbox).words.get, text_file
    embeddings = read_embeddings(made)
    if embeddings is not None:
        return embeddings.find, made
    files = find_model_files(model)
    if not files.weights.exists():
        raise UserError(
            f"{made}: no such file, and no {files.weights} with learned embeddings; "
            "run `dvc repro train`, or give a file with --vectors"
        )
    return _read_learned(files).get, files.weights


def _read_learned(files: ModelFiles) -> "dict[str, Vector]":
    """Word -> its learned embedding [E]. Raises UserError if the model is invalid."""
    from safetensors import SafetensorError, safe_open

    description = read_json(files.description, "run `dvc repro train`")
    try:
        words = description["vocabulary"]["words"]
        with safe_open(files.weights, framework="np") as file:
            rows = file.get_tensor(next(name for name in LEARNED if name in file.keys()))  # noqa: SIM118
    except (KeyError, TypeError, StopIteration, SafetensorError) as error:
        fault = f"no word embeddings in it ({describe_fault(error)})"
        raise UserError(f"{files.weights}: {fault}; run `dvc repro train`") from None
    return dict(zip(words[FIRST_WORD_ID : len(rows)], rows[FIRST_WORD_ID:], strict=False))

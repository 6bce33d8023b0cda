"""`t2v words near`: which objects of the training clips a word is near to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.errors import UserError
from pipeline.records import VECTORS, Clip
from pipeline.tables import read_table

if TYPE_CHECKING:
    from pipeline.text.neighbours import Lookup

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@app.callback()
def words() -> None:
    """Ask the word vectors."""


@app.command()
def near(
    word: Annotated[str, typer.Argument(help="a word or a name of several: album, or 'photo album'")],
    vectors: Annotated[
        Path | None, typer.Option(help="a file of word vectors, as text; else those of tokenize.embeddings")
    ] = None,
    labels: Annotated[Path, typer.Option(help="what `filter` wrote")] = Path("data/labels"),
    captions: Annotated[Path, typer.Option(help="what `tokenize` wrote")] = Path("data/captions"),
    count: Annotated[int, typer.Option(min=1, help="how many objects")] = 10,
) -> None:
    """List the objects of the training clips, the nearest first.

    With cosine and number of clips."""
    from pipeline.text.neighbours import embed_names, rank_neighbours, tokenize_name
    from pipeline.text.vocabulary import read_vocabulary

    clips = read_table(labels / "clips.parquet", Clip)
    objects = [name for clip in clips if clip.split == "train" for name in clip.objects]
    vocabulary = read_vocabulary(captions / "vocabulary.json")
    wanted = {part for name in {word, *objects} for part in tokenize_name(name, vocabulary)}
    find_vector = embed_names(vocabulary, _lookup(vectors, captions / VECTORS, wanted))
    source = vectors or captions / VECTORS
    if find_vector(word) is None:
        raise UserError(f"{source}: has no vector for {word!r}; take another word, or vectors of more words")
    found = rank_neighbours(word, objects, find_vector)
    if not found:
        raise UserError(f"{source}: has no vector for any of the {len(set(objects))} objects of the train split")
    table = Table("object", "cosine", "clips", title=f"nearest to {word}", box=None, title_justify="left")
    for neighbour in found[:count]:
        table.add_row(neighbour.name, f"{neighbour.cosine:.2f}", str(neighbour.clips))
    Console(soft_wrap=True).print(table)


def _lookup(text_file: Path | None, made: Path, wanted: set[str]) -> "Lookup":
    """The vectors of a text file, or else those that `tokenize` wrote."""
    from pipeline.text.embeddings import read_embeddings
    from pipeline.text.vector_files import read_vectors

    if text_file:
        return read_vectors(text_file, wanted, 0).words.get
    embeddings = read_embeddings(made)
    if embeddings is None:
        raise UserError(
            f"{made}: no such file: with tokenize.embeddings.source learned, words have vectors in the networks alone; "
            "take another source, or give a file with --vectors"
        )
    return embeddings.find

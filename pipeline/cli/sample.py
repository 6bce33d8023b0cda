"""`t2v sample`: a caption that someone types -> clips in a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.corpus.captions import clean_text
from pipeline.errors import UserError
from pipeline.records import VECTORS
from pipeline.rendering.export import check_ending, export_samples
from pipeline.rendering.grid import Block, Row, Window
from pipeline.text.vocabulary import parse_vocabulary


def sample(
    caption: Annotated[str, typer.Argument(help='what happens: "pushing a mug from left to right"')],
    out: Annotated[Path, typer.Option("-o", "--out", help="by its ending: gif, mp4, png (film strips) or npz")],
    seed: Annotated[int, typer.Option(min=0, help="names the noise: equal seeds give equal clips")] = 0,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="how many clips")] = 4,
    model: Annotated[Path, typer.Option(help="folder of a trained model")] = Path("data/model"),
    scale: Annotated[int, typer.Option(min=1, help="pixels in the picture per pixel of a clip")] = 4,
    fps: Annotated[int, typer.Option(min=1, help="frames per second of a gif or mp4")] = 8,
) -> None:
    """Sample clips for a caption; an npz holds `frames`, uint8 [N,T,H,W,3]."""
    check_ending(out)
    from pipeline.data.sampler import draw_noise
    from pipeline.inference import DESCRIPTION, Model  # torch takes seconds: only after the cheap checks
    from pipeline.inference import sample as sample_clips
    from pipeline.text.embeddings import extend_vocabulary, read_embeddings
    from pipeline.text.parsing import encode  # brings spaCy, and with it torch

    generator = Model(model)
    vocabulary = parse_vocabulary(generator.description["vocabulary"], model / DESCRIPTION)
    embeddings = read_embeddings(model / VECTORS)
    encoded = encode(clean_text(caption), vocabulary, generator.max_tokens)
    if embeddings and encoded.unknown:
        vocabulary, vectors = extend_vocabulary(encoded.unknown, vocabulary, embeddings)
        generator.add_words(vectors)
        encoded = encode(clean_text(caption), vocabulary, generator.max_tokens)
    if len(encoded.unknown) == len(set(encoded.caption.tokens)):
        raise UserError(f"the model knows no word of {caption!r}; it knows {', '.join(generator.vocabulary[2:22])} …")
    if encoded.unknown:
        print(f"warning: the model has never seen {', '.join(encoded.unknown)}", file=sys.stderr)
    frames = sample_clips(
        generator, [generator.condition(encoded.caption)] * n, draw_noise(seed, n, generator.generator.z_width)
    )
    windows = [Window(f"{number}", clip) for number, clip in enumerate(frames, 1)]
    provenance = {**generator.provenance(), "caption": caption, "seed": seed, "n": n, "scale": scale, "fps": fps}
    export_samples([Row(caption, [Block(f"seed {seed}", windows)])], out, scale=scale, fps=fps, provenance=provenance)
    print(f"{out}: {n} clips of {caption!r}")

"""`t2v sample`: a caption that someone types -> clips in a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.corpus.captions import clean_text
from pipeline.errors import UserError
from pipeline.records import VECTORS, Caption
from pipeline.rendering.export import check_ending, export_samples
from pipeline.rendering.grid import Block, Row, Window
from pipeline.text.vocabulary import parse_vocabulary

if TYPE_CHECKING:
    from pipeline.inference import Model


def sample(
    caption: Annotated[str, typer.Argument(help='what happens: "pushing a mug from left to right"')],
    out: Annotated[Path, typer.Option("-o", "--out", help="by its ending: gif, mp4, png (film strips) or npz")],
    seed: Annotated[int, typer.Option(min=0, help="names the noise: equal seeds give equal clips")] = 0,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="how many clips")] = 4,
    model: Annotated[Path, typer.Option(help="folder of a trained model")] = Path("data/model"),
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="of a model trained by flow: from noise to a clip; else as in training"),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="of a model trained by flow: how far the caption counts; 1: as learned")
    ] = None,
    scale: Annotated[int, typer.Option(min=1, help="pixels in the picture per pixel of a clip")] = 4,
    fps: Annotated[int, typer.Option(min=1, help="frames per second of a gif or mp4")] = 8,
) -> None:
    """Sample clips for a caption; an npz holds `frames`, uint8 [N,T,H,W,3]."""
    check_ending(out)
    from pipeline.data.sampler import draw_noise
    from pipeline.inference import Model  # torch takes seconds: only after the cheap checks
    from pipeline.inference import sample as sample_clips

    generator = Model(model)
    _set_sampling(generator, steps, guidance)
    known = _encode(generator, model, caption)
    frames = sample_clips(generator, [generator.condition(known)] * n, draw_noise(seed, n, generator.generator.z_width))
    windows = [Window(f"{number}", clip) for number, clip in enumerate(frames, 1)]
    provenance = {**generator.provenance(), "caption": caption, "seed": seed, "n": n, "scale": scale, "fps": fps}
    export_samples([Row(caption, [Block(f"seed {seed}", windows)])], out, scale=scale, fps=fps, provenance=provenance)
    print(f"{out}: {n} clips of {caption!r}")


def _set_sampling(model: "Model", steps: int | None, guidance: float | None) -> None:
    """Raises UserError where the model does not draw in steps."""
    if model.flow is None:
        if steps is not None or guidance is not None:
            raise UserError("--steps and --guidance are of models trained by flow; this one draws in a single pass")
        return
    model.flow.steps = model.flow.steps if steps is None else steps
    model.flow.guidance = model.flow.guidance if guidance is None else guidance


def _encode(model: "Model", folder: Path, caption: str) -> Caption:
    """The caption in the words of the model, and of its vectors. Raises UserError where it knows none of them."""
    from pipeline.inference import DESCRIPTION
    from pipeline.text.embeddings import extend_vocabulary, read_embeddings
    from pipeline.text.parsing import encode  # brings spaCy, and with it torch

    vocabulary = parse_vocabulary(model.description["vocabulary"], folder / DESCRIPTION)
    embeddings = read_embeddings(folder / VECTORS)
    encoded = encode(clean_text(caption), vocabulary, model.max_tokens)
    if embeddings and encoded.unknown:
        vocabulary, vectors = extend_vocabulary(encoded.unknown, vocabulary, embeddings)
        model.add_words(vectors)
        encoded = encode(clean_text(caption), vocabulary, model.max_tokens)
    if len(encoded.unknown) == len(set(encoded.caption.tokens)):
        raise UserError(f"the model knows no word of {caption!r}; it knows {', '.join(model.vocabulary[2:22])} …")
    if encoded.unknown:
        print(f"warning: the model has never seen {', '.join(encoded.unknown)}", file=sys.stderr)
    return encoded.caption

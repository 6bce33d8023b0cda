"""`t2v sign`: adds content credentials (C2PA) to a rendered file, as the last step before it is published."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UserError
from pipeline.provenance.credentials import Algorithm, sign_media
from pipeline.provenance.locks import find_makers, read_steps
from pipeline.provenance.media import read_media


def sign(
    file: Annotated[Path, typer.Argument(help="a png, gif or mp4 of `t2v sample` or of the stage render")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the signed file")],
    certificate: Annotated[Path, typer.Option(help="PEM: the signer's certificate, then those above it")],
    key: Annotated[Path, typer.Option(help="PEM: the private key of the first certificate")],
    algorithm: Annotated[Algorithm, typer.Option(help="of the key")] = "es256",
) -> None:
    """Sign that a trained model made this file, with the facts that the file tells.

    Equal files signed twice differ: the signature holds chance. So the signed file lies outside the outputs of stages.

    Example: t2v sign mug.gif -o shown/mug.gif --certificate chain.pem --key key.pem
    """
    media = read_media(file)
    media.require_facts()
    if not media.is_whole:
        raise UserError(
            f"{file}: its seal is missing or does not fit, so it is not as it was made; make it again first"
        )
    if out.suffix.lower() != media.kind:
        raise UserError(f"{out}: must end with {media.kind}, as {file} does")
    if makers := find_makers(out, read_steps(Path()), Path()):
        raise UserError(f"{out}: an output of the stage {makers[0].name}, whose bytes are locked; name another place")
    sign_media(media, out, certificate, key, algorithm)
    print(f"{out}: signed")

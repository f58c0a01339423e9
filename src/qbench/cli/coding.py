"""Commands for single images: encode, decode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qbench.cli.options import Device, PluginFiles
from qbench.cli.streams import say

Settings = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A setting, such as quality=40. Repeatable."),
]
ProfileName = Annotated[str, typer.Option("--profile", help="Which weights: bundled, hub.")]
SeedNumber = Annotated[int, typer.Option("--seed", help="For codecs that draw random numbers.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("encode")(encode_command)
    app.command("decode")(decode_command)


def encode_command(
    image: Annotated[Path, typer.Argument(help="The image.", show_default=False)],
    codec: Annotated[
        str, typer.Option("--codec", "-c", help="A codec's name, or file.py:Name of one in a file.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to. Default: the image's name with the codec's ending.")
    ] = None,
    parameter: Settings = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN=VALUE", help="Choose the setting for it: bpp=0.5, psnr=35.")
    ] = None,
    profile: ProfileName = "bundled",
    seed: SeedNumber = 0,
    device: Device = "auto",
    plugin: PluginFiles = None,
) -> None:
    """Encode one image with any codec.

    Beside a bitstream that no image viewer knows, a small file says what made it, so that decode needs no options.
    """
    from qbench.api.coding import encode_image, write_bitstream
    from qbench.errors import QbenchError

    coded = encode_image(
        image,
        codec,
        values_of(parameter),
        target=target_of(target),
        device=device,
        profile=profile,
        seed=seed,
        plugins=plugin or (),
    )
    place = output or Path(f"{image.stem}.{coded.file_extension}")
    if place.exists() and place.samefile(image):
        raise QbenchError(f"{place}: is the image itself; name another file with --output")
    for path in write_bitstream(coded, place):
        say(path)
    for note in coded.notes:
        say(f"note: {image}: {note}", error=True)
    settings = ", ".join(f"{name} {value}" for name, value in coded.settings.items())
    reached = f"; {coded.reached}" if coded.reached else ""
    told = f"{coded.codec} ({settings}): {len(coded.bitstream)} bytes, {coded.rate:.4f} bit/pixel"
    say(f"{told}, {coded.seconds:.2f} s{reached}", error=True)


def decode_command(
    bitstream: Annotated[Path, typer.Argument(help="The bitstream's file.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The image to write: .png.", show_default=False)],
    codec: Annotated[
        str | None,
        typer.Option("--codec", "-c", help="Its codec. Default: what the file beside it says.", show_default=False),
    ] = None,
    parameter: Settings = None,
    profile: ProfileName = "bundled",
    seed: SeedNumber = 0,
    device: Device = "auto",
    plugin: PluginFiles = None,
) -> None:
    """Decode one bitstream into a PNG file."""
    from qbench.api.coding import decode_file
    from qbench.errors import QbenchError
    from qbench.images.image import encode_png
    from qbench.toolkit.files import writing

    if output.suffix.lower() != ".png":
        raise QbenchError(f"{output}: accepted is a file ending in .png, which keeps every pixel as it is")
    pixels = decode_file(
        bitstream, codec, values_of(parameter), device=device, profile=profile, seed=seed, plugins=plugin or ()
    )
    with writing(output) as temporary:
        temporary.write_bytes(encode_png(pixels))
    say(output)


def values_of(settings: list[str] | None) -> dict[str, Any]:
    """Return ``name=value`` settings, values as YAML reads them.

    Raises:
        QbenchError: one has another form.
    """
    from qbench.errors import QbenchError
    from qbench.suite.document import parse_value

    found: dict[str, Any] = {}
    for text in settings or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise QbenchError(f"--parameter {text}: accepted is NAME=VALUE, such as quality=40")
        found[name.strip()] = parse_value(value, f"--parameter {text}")
    return found


def target_of(text: str | None) -> tuple[str, float] | None:
    """Return a column and its value.

    Raises:
        QbenchError: it has another form.
    """
    from qbench.errors import QbenchError

    if text is None:
        return None
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError as error:
        raise QbenchError(f"--target {text}: accepted is COLUMN=NUMBER, such as bpp=0.5 or psnr=35") from error

"""codec-compare's batches: a row per image and setting, for a web page that matches and compares them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qbench.plugin import Column, Direction, ExchangedCell, ExchangedResults, Format, QbenchError
from qbench_formats.columns import BPP, KNOWN, file_name, finite, number, text

OURS = {"msssim": "ms-ssim", "p3norm": "butteraugli.norm3", "qbench ssim": "ssim"}
THEIRS = {"ms-ssim": "msssim", "ssim": "qbench_ssim", "butteraugli.norm3": "p3norm"}
SSIM_LIBWEBP = Column("ssim-libwebp", Direction.HIGHER, unit="dB", digits=2, summary="SSIM by libwebp, in decibels")
"""What batches call ``ssim``, which goes up to 60 and more; ours has another name there."""
PLACES = {"original name": "image", "source image": "image", "width": "width", "height": "height"}
MEASURED = {"encoded size": "size", "encoding time": "encode", "decoding time": "decode", "frame count": "frames"}
SETTINGS = ("effort", "quality", "chroma subsampling", "subsampling")
IGNORED = {
    "encoded name",
    "encoded image name",
    "decoded name",
    "decoded image name",
    "raw decoding time",
}
LARGEST = 1e15
BETTER = {"Higher is better.": Direction.HIGHER, "Lower is better.": Direction.LOWER}
SETTING = "Setting of the codec."
INDEX = "batches.json"
SSIM, QUALITY = "ssim", "quality"


class CodecCompare(Format):
    """Batches of codec-compare, webmproject's page for comparing encoders, one per codec.

    Written besides is ``batches.json``, the index that the page is pointed at. It wants numbers everywhere: rows that
    lack a value, or have an infinite one, are left out. Read are the fields whose meaning is known; others are left out
    with a note, unless their description says what they are, as those that qbench wrote do.
    """

    name = "codec-compare"
    summary = "codec-compare's batch JSON: a row per image and setting, one file per codec"
    reference = "https://github.com/webmproject/codec-compare"

    def recognises(self, document: Any) -> bool:
        """Whether there are descriptions of fields and their values."""
        return isinstance(document, dict) and {"field_descriptions", "field_values"} <= document.keys()

    def lists(self, document: Any) -> Sequence[str]:
        """The batches of an index: a list of lists of files."""
        groups = document if isinstance(document, list) else []
        names = [name for group in groups if isinstance(group, list) for name in group]
        return names if names and all(isinstance(name, str) for name in names) else ()

    def read(self, document: Any, name: str) -> ExchangedResults:
        """Read a batch."""
        if not self.recognises(document):
            raise QbenchError(f"{name}: no `field_descriptions` and `field_values`")
        fields = _descriptions(document, "field_descriptions", name)
        constants = _constants(document, name)
        notes: list[str] = []
        roles = {key: _role(key, described, name, notes) for key, described in fields.items()}
        if "image" not in roles.values():
            raise QbenchError(f"{name}: no field `original_name`, so that images can't be told apart")
        columns = {role.name: role for role in roles.values() if isinstance(role, Column)}
        images: dict[str, tuple[int, int]] = {}
        frames: dict[str, int] = {}
        cells: list[ExchangedCell] = []
        differing: list[str] = []
        codec = constants.get("codec") or constants.get("name") or name
        for index, row in enumerate(_list(document["field_values"], f"{name}: field_values")):
            where = f"{name}: field_values[{index}]"
            if len(_list(row, where)) != len(fields):
                raise QbenchError(f"{where}: has {len(row)} values for {len(fields)} fields")
            cell, size, count = _cell(dict(zip(roles.items(), row, strict=True)), codec, where)
            if frames.setdefault(cell.image, count) != count or images.setdefault(cell.image, size) != size:
                raise QbenchError(f"{where}: {cell.image} has another size or number of frames than before")
            cells.append(cell)
            said = cell.values.get(BPP.name)
            if said is not None and cell.size is not None and all(size):
                rate = 8 * cell.size / (size[0] * size[1] * count)
                if abs(said - rate) > 0.02 * rate:
                    differing.append(cell.image)
        if differing:
            names = ", ".join(dict.fromkeys(differing))
            notes.append(f"{name}: `bpp` is another than sizes and frames give ({names}); curves go by these")
        if not cells:
            raise QbenchError(f"{name}: field_values is empty")
        cells = _told_apart(cells)
        rates = [BPP.name] if BPP.name in columns else []
        described = ", ".join(constants[key] for key in ("name", "version", "time") if constants.get(key))
        return ExchangedResults(codec, images, list(columns.values()), cells, described, rates, notes, frames)

    def write(self, results: ExchangedResults, folder: Path) -> list[Path]:
        """Write a batch per codec, and the index."""
        paths: list[Path] = []
        for codec, cells in results.by_codec().items():
            path = file_name(folder, codec, [*paths, folder / INDEX])
            batch = _batch(results, codec, cells)
            path.write_text(json.dumps(batch, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
            paths.append(path)
        index = folder / INDEX
        index.write_text(json.dumps([[path.name] for path in paths]) + "\n", encoding="utf-8")
        return [*paths, index]


# -- reading ------------------------------------------------------------------------------------------------------


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise QbenchError(f"{where}: a list is expected, not {value!r:.60}")
    return value


def _descriptions(document: Mapping[str, Any], key: str, name: str) -> dict[str, str]:
    """Return name → description, out of a list of mappings with one key each."""
    found: dict[str, str] = {}
    for index, each in enumerate(_list(document.get(key, []), f"{name}: {key}")):
        where = f"{name}: {key}[{index}]"
        if not isinstance(each, dict) or len(each) != 1:
            raise QbenchError(f"{where}: a mapping of one name to its description is expected, not {each!r:.60}")
        [(field, described)] = each.items()
        if field in found:
            raise QbenchError(f"{where}: `{field}` is duplicated")
        found[field] = text(described, where)
    return found


def _constants(document: Mapping[str, Any], name: str) -> dict[str, str]:
    known = _descriptions(document, "constant_descriptions", name)
    values = _list(document.get("constant_values", []), f"{name}: constant_values")
    if len(values) != len(known):
        raise QbenchError(f"{name}: {len(values)} constant_values for {len(known)} constant_descriptions")
    return {_plain(key): str(value) for key, value in zip(known, values, strict=True)}


def _plain(field: str) -> str:
    """Return a field's name as codec-compare compares it."""
    return field.lower().replace("_", " ")


def _role(field: str, described: str, name: str, notes: list[str]) -> str | Column:
    """Return what a field is: a column, ``setting``, a part of the cell, or nothing (empty)."""
    plain = _plain(field)
    if plain in PLACES or plain in MEASURED:
        return PLACES.get(plain) or MEASURED[plain]
    if plain in SETTINGS or described.endswith(SETTING):
        return "setting"
    if plain == SSIM and not described.endswith(tuple(BETTER)):
        return SSIM_LIBWEBP
    known = KNOWN.get(OURS.get(plain, plain))
    if known is not None:
        return known
    for words, direction in BETTER.items():
        if described.endswith(words):
            return Column(field, direction)
    if plain not in IGNORED:
        notes.append(f"{name}: `{field}` is omitted: of unknown meaning or direction")
    return ""


def _cell(
    values: Mapping[tuple[str, str | Column], Any], codec: str, where: str
) -> tuple[ExchangedCell, tuple[int, int], int]:
    found: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    scores: dict[str, float | None] = {}
    for (field, role), value in values.items():
        if isinstance(role, Column):
            scores[role.name] = number(value, f"{where}, {field}")
        elif role == "setting":
            settings[field] = int(value) if isinstance(value, float) and value.is_integer() else value
        elif role == "image":
            found["image"] = text(value, f"{where}, {field}")
        elif role:
            found[role] = _measured(role, value, f"{where}, {field}")
    size = found.get("size")
    cell = ExchangedCell(
        found["image"],
        codec,
        settings,
        scores,
        size,
        found.get("encode"),
        found.get("decode"),
    )
    return cell, (found.get("width") or 0, found.get("height") or 0), found.get("frames") or 1


def _told_apart(cells: Sequence[ExchangedCell]) -> list[ExchangedCell]:
    """Make codecs of what differs in more than quality, whose points are on no common curve."""
    names = dict.fromkeys(name for cell in cells for name in cell.settings if name != QUALITY)
    varied = [name for name in names if len({repr(cell.settings.get(name)) for cell in cells}) > 1]
    if not varied or not any(QUALITY in cell.settings for cell in cells):
        return list(cells)
    return [
        replace(
            cell,
            codec=" ".join([cell.codec, *(f"{name}={cell.settings.get(name)}" for name in varied)]),
            settings={name: value for name, value in cell.settings.items() if name not in varied},
        )
        for cell in cells
    ]


def _measured(role: str, value: Any, where: str) -> float | None:
    """Return a size, which is a whole number, or a time."""
    read = number(value, where)
    if read is None or role in ("encode", "decode"):
        return read
    if not read.is_integer() or not 1 <= read < LARGEST:
        raise QbenchError(f"{where}: {value!r:.60} is no number of pixels, bytes or frames")
    return int(read)


# -- writing ------------------------------------------------------------------------------------------------------


def _batch(results: ExchangedResults, codec: str, cells: Sequence[ExchangedCell]) -> dict[str, Any]:
    columns = [
        column
        for column in results.columns
        if column.name != BPP.name and any(finite(cell.values[column.name]) for cell in cells)
    ]
    usable = [cell for cell in cells if all(finite(cell.values[column.name]) for column in columns)]
    usable = [cell for cell in usable if cell.rate is not None]
    if not usable:
        raise QbenchError(f"{results.name}: no cell of {codec} has a finite value of every column")
    swept = list(dict.fromkeys(name for cell in cells for name in cell.settings))
    timed = all(cell.encode is not None and cell.decode is not None for cell in usable)
    sized = all(cell.size is not None for cell in usable)
    constants = [
        ("name", "Name of the batch", f"{codec} ({results.name})"),
        ("codec", "Name of the codec", codec),
        ("version", "Libraries of the codec", (results.libraries or {}).get(codec, codec)),
        ("time", "When it was measured", results.measured_at),
    ]
    fields: list[tuple[str, str]] = [
        ("original_name", "Name of the original"),
        ("width", "Pixels"),
        ("height", "Pixels"),
    ]
    fields += [(name, SETTING) for name in swept]
    animated = any(results.frames.get(cell.image, 1) > 1 for cell in usable)
    fields += [("frame_count", "Frames of an animation")] if animated else []
    fields += [("encoded_size", "Bytes of the bitstream")] if sized else []
    fields += [("bpp", "Bits per pixel")]
    fields += [("encoding_time", "Seconds"), ("decoding_time", "Seconds")] if timed else []
    for column in columns:
        better = next(words for words, direction in BETTER.items() if direction is column.direction)
        fields.append((THEIRS.get(column.name, column.name), f"{column.summary or column.name}. {better}"))
    return {
        "constant_descriptions": [{name: described} for name, described, _ in constants],
        "constant_values": [value for _, _, value in constants],
        "field_descriptions": [{name: described} for name, described in fields],
        "field_values": [
            [
                cell.image,
                *results.images[cell.image],
                *(_setting(cell.settings.get(name)) for name in swept),
                *([results.frames.get(cell.image, 1)] if animated else []),
                *([cell.size] if sized else []),
                cell.rate,
                *([cell.encode, cell.decode] if timed else []),
                *(cell.values[column.name] for column in columns),
            ]
            for cell in usable
        ],
    }


def _setting(value: Any) -> str | float:
    """Return a setting as the page takes it: a number or text."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)

"""What torch may make of float32 on accelerators."""

from __future__ import annotations

from typing import Any

WITHOUT_TF32 = ("ieee", "none", "none", "none", "highest")


def precision() -> tuple[str, ...]:
    """Return what torch may make of float32 on an accelerator: in products, in convolutions, recurrent, otherwise."""
    import torch

    backends: Any = torch.backends
    if not hasattr(backends, "fp32_precision"):
        places = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32, backends.cudnn.allow_tf32
        return (*("tf32" if each else "none" for each in places), "none", torch.get_float32_matmul_precision())
    found = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, backends)
    return (*(str(each.fp32_precision) for each in found), torch.get_float32_matmul_precision())


def set_precision(wanted: tuple[str, ...]) -> None:
    """Set what :func:`precision` returned.

    By the names that torch's own code reads first: where the newer ones say something else, reading those raises.
    """
    import torch

    backends: Any = torch.backends
    newer = hasattr(backends, "fp32_precision")
    if newer:
        backends.fp32_precision = wanted[3]
    torch.set_float32_matmul_precision(wanted[4])
    backends.cuda.matmul.allow_tf32 = wanted[0] == "tf32"
    backends.cudnn.allow_tf32 = wanted[1] == "tf32"
    places = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn) if newer else ()
    for place, value in zip(places, wanted[:3], strict=False):
        if str(place.fp32_precision) != value:
            place.fp32_precision = value

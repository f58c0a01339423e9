"""Fidelity and rate metrics for qbench: how far the pixels are, and what they cost."""

from qbench import hookimpl


@hookimpl
def qbench_register_metrics(register):  # type: ignore[no-untyped-def]
    """Offer the mean squared error family, the SSIM family, and rates."""
    from qbench_fidelity.error import Mse, Psnr
    from qbench_fidelity.rate import BitsPerPixel, CompressionRatio, PngSizeRatio
    from qbench_fidelity.ssim import MsSsim, Ssim
    from qbench_fidelity.thesis import ThesisMse, ThesisPsnr, ThesisSsim
    from qbench_fidelity.uniform import SsimUniform

    for metric in (
        Mse,
        Psnr,
        Ssim,
        SsimUniform,
        MsSsim,
        BitsPerPixel,
        CompressionRatio,
        PngSizeRatio,
        ThesisMse,
        ThesisPsnr,
        ThesisSsim,
    ):
        register(metric)

"""Fidelity and rate metrics for qbench: how far the pixels are, and what they cost."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_metrics(register):  # type: ignore[no-untyped-def]
    """Offer the mean squared error family, the SSIM family, what looks at structure and colour, and rates."""
    from qbench_fidelity.butteraugli import Butteraugli
    from qbench_fidelity.colour import Ciede2000
    from qbench_fidelity.error import Mse, Psnr
    from qbench_fidelity.gradients import Gmsd, Mdsi
    from qbench_fidelity.haar import HaarPsi
    from qbench_fidelity.hvs import PsnrHvs
    from qbench_fidelity.information import IwSsim
    from qbench_fidelity.luma import PsnrY
    from qbench_fidelity.phase import Fsim
    from qbench_fidelity.rate import BitsPerPixel, CompressionRatio, PngSizeRatio
    from qbench_fidelity.saliency import Vsi
    from qbench_fidelity.ssim import MsSsim, MsSsimY, Ssim, SsimY
    from qbench_fidelity.thesis import ThesisMse, ThesisPsnr, ThesisSsim
    from qbench_fidelity.uniform import SsimUniform
    from qbench_fidelity.vif import Vifp

    for metric in (
        Mse,
        Psnr,
        PsnrY,
        PsnrHvs,
        Ssim,
        SsimY,
        SsimUniform,
        MsSsim,
        MsSsimY,
        IwSsim,
        Vifp,
        Fsim,
        Gmsd,
        Vsi,
        HaarPsi,
        Mdsi,
        Ciede2000,
        Butteraugli,
        BitsPerPixel,
        CompressionRatio,
        PngSizeRatio,
        ThesisMse,
        ThesisPsnr,
        ThesisSsim,
    ):
        register(metric)

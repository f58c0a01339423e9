"""Verifying a run: whether what its folder keeps is what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qbench.api.finding import AnyRun, read_run
from qbench.contracts.context import Context
from qbench.errors import PluginError
from qbench.execute.accelerators import device_name, resolve_device
from qbench.execute.as_planned import other_versions
from qbench.execute.means import aside
from qbench.execute.trust import component, parameters_of
from qbench.execute.verifying import Finding, Verdict, verify_cells
from qbench.planning.types import Plan
from qbench.registry.registry import Registry, registry_with
from qbench.store.folder import RunFolder


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found.

    Attributes:
        findings: one for every coded cell.
        other_versions: in what codecs and metrics are others here than when the run was measured.
        device: that decoded.
    """

    findings: tuple[Finding, ...]
    other_versions: tuple[str, ...]
    device: str

    @property
    def good(self) -> bool:
        """Whether something is kept, and all of it is what was measured."""
        kept = any(finding.bitstream is not Verdict.NOT_KEPT for finding in self.findings)
        return kept and all(finding.good for finding in self.findings)


def verify(
    run: AnyRun,
    *,
    device: str = "auto",
    trust: bool = False,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    on_finding: Callable[[Finding, int], None] = lambda finding, total: None,
) -> Verification:
    """Decode all bitstreams that a run keeps, and compare them and its kept reconstructions with what was measured.

    Nothing is written. For a run of another machine, another device or other versions of codecs, for a colleague's
    folder, for the artefact of a paper.

    Args:
        run: the run, or its path or name.
        device: that decodes.
        trust: whether codecs may decode whose settings name code to run.
        plugins: files that are plugins, besides what is installed.
        on_finding: called with every finding as it comes, and how many there will be.

    Raises:
        QbenchError: no such run, or the device is not available.
    """
    found = read_run(run)
    folder = RunFolder(found.path)
    state = folder.load()
    plan = state.plan
    registry = registry_with((*plugins, *(plan.plugins if trust else ())), registry)
    torch_device = resolve_device(device)
    cells = [state.cell(image, point) for image, point, _ in plan.iter_cells()]
    total = sum(cell is not None and cell.outcome == "coded" for cell in cells)
    findings = []
    context = Context(torch_device, plan.seed, plan.profile)
    with aside(plan, folder, registry, context, lambda text: None) as means:
        for finding in verify_cells(means, state, registry, trust=trust):
            findings.append(finding)
            on_finding(finding, total)
    return Verification(tuple(findings), tuple(_other_versions(plan, registry)), device_name(torch_device))


def _other_versions(plan: Plan, registry: Registry) -> list[str]:
    told: dict[str, None] = {}
    for planned in plan.participants:
        try:
            cls, parameters = component(planned, registry), parameters_of(planned, registry)
        except PluginError:
            continue  # that it is not here is a finding of its cells
        if "version" in planned.identity:
            told |= dict.fromkeys(f"{cls.name}: {each}" for each in other_versions(cls, planned.identity, parameters))
    return list(told)

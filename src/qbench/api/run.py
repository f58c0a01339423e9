"""A run as a person at a Python prompt or in a notebook has it: what was measured, and what one asks it for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qbench.errors import QbenchError, did_you_mean
from qbench.markup import escape_html, html_table
from qbench.results.run import Run as MeasuredRun
from qbench.store.folder import RunFolder

if TYPE_CHECKING:
    from qbench.reporting.figures import Drawing
    from qbench.reporting.notebook import Shown
    from qbench.reporting.savings import Savings


class Run(MeasuredRun):
    """A finished, interrupted or still executing run, read from its folder. Notebooks show its means."""

    def plot(self, metrics: str | Sequence[str] = (), **options: Any) -> Drawing:
        """Draw rate–distortion curves: ``run.plot("ms-ssim", bands=True)``.

        Args:
            metrics, options: as for :func:`qbench.plot`.

        Raises:
            QbenchError: as :func:`qbench.plot`.
        """
        from qbench.api.reporting import plot

        return plot(self, metrics=metrics, **options)

    def bd(self, anchor: str | None = None, metrics: str | Sequence[str] = (), **options: Any) -> Savings:
        """Return the rate that codecs save against an anchor at equal quality: ``run.bd("jpeg")``.

        Args:
            anchor, metrics, options: as for :func:`qbench.savings`.

        Raises:
            QbenchError: as :func:`qbench.savings`.
        """
        from qbench.api.reporting import savings

        return savings(self, anchor, metrics, **options)

    def table(self, by: str | None = "point", columns: str | Sequence[str] = ()) -> Shown:
        """Return a table of means, or of cells, which notebooks show.

        Args:
            by: ``"point"``, ``"codec"`` or ``"image"``; None lists the cells.
            columns: names; by default every metric's main one.

        Raises:
            QbenchError: no such grouping or column.
        """
        from qbench.api.arguments import names
        from qbench.reporting.curves import main_columns
        from qbench.reporting.formats import View, write_text
        from qbench.reporting.look import Look
        from qbench.reporting.notebook import Shown

        chosen = names(columns)
        Look(tuple(chosen)).check(list(self.columns))
        view = View(by, columns=tuple(chosen or [self.rate_column, *main_columns(self)]))
        return Shown(write_text(self, "html", view), write_text(self, "markdown", view))

    def show(self, image: str, *points: str) -> Shown:
        """Return an original and reconstructions of it beside each other, with their values, which notebooks show.

        Args:
            image: its name.
            points: operating points: ``run.show("kodim03", "jpeg:quality=5", "webp:quality=1")``.

        Raises:
            QbenchError: no such image or operating point, or a reconstruction that was not kept or has been altered.
        """
        from qbench.api.explaining import original
        from qbench.reporting.aggregate import format_value
        from qbench.reporting.notation import ABSENT
        from qbench.reporting.notebook import Shown, beside

        for kind, name, known in (
            ("image", image, [each.name for each in self.plan.images]),
            *(("operating point", point, [each.id for each in self.plan.points]) for point in points),
        ):
            if name not in known:
                raise QbenchError(
                    f"{self.path}: no {kind} `{name}`{did_you_mean(name, known)} (has: {', '.join(known)})"
                )
        rows = {row.point: row for row in self.rows if row.image == image}
        folder = RunFolder(self.path)
        shown = [(f"{image}, original", original(self, image))]
        for point in points:
            cell = rows[point].cell
            found = None
            if cell is not None:
                found = folder.read_reconstruction(self.plan.point(point), self.plan.image(image))
            if cell is None or found is None or found.digest != cell.reconstruction_sha256:
                why = rows[point].reason or "it was not kept, or is not the one that was measured"
                raise QbenchError(f"{self.path}: no reconstruction of {image} at {point}: {why}")
            shown.append((point, found))
        lines = [
            [
                escape_html(point),
                *(
                    format_value(entry.value, self.columns[name]) or ABSENT[entry.status]
                    for name, entry in rows[point].entries.items()
                ),
            ]
            for point in points
        ]
        header = ["", *map(escape_html, self.cell_columns)]
        table = html_table(header, lines, [True, *[False] * len(self.cell_columns)]) if lines else ""
        text = "\n".join(caption for caption, _ in shown)
        return Shown(beside(shown) + table, text)

    def _repr_html_(self) -> str:
        state = "complete" if self.complete else "incomplete: values that are pending have “…”"
        failed = f" · {len(self.failures)} failed" if self.failures else ""
        return f"<p>{escape_html(f'{self.name} · {self.plan.cells} cells · {state}{failed}')}</p>{self.table().html}"

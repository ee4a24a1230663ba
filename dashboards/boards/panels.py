"""The panels that boards are made of, each from one named query; its docstring is what the panel
says of itself.
"""

from grafana_foundation_sdk.builders import barchart, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    ScaleDistributionConfig,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    ScaleDistribution,
    SortOrder,
    StackingMode,
    TableAutoCellOptions,
    TableCellHeight,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue
from grafana_foundation_sdk.models.table import Options

from dashboards.boards.looks import CALM, column, curve, states, steps
from dashboards.boards.source import Ask, source
from dashboards.sql import Query

WIDE, HALF, THIRD = 24, 12, 8


def number(
    title: str,
    query: Query,
    field: str,
    *,
    thresholds: ThresholdsConfig | None = None,
    unit: str = "short",
    width: int = 4,
) -> stat.Panel:
    """One number, or one word, of a query with one row."""
    shown = ReduceDataOptions().calcs(["lastNotNull"]).fields(f"/^{field}$/").values(False)
    panel = (
        stat.Panel()
        .title(title)
        .description(said(query))
        .datasource(source())
        .with_target(Ask(query, "table"))
        .span(width)
        .height(4)
        .unit(unit)
        .reduce_options(shown)
        .text_mode(BigValueTextMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.BACKGROUND_SOLID if thresholds else BigValueColorMode.VALUE)
        .thresholds(thresholds or steps((None, CALM)))
        .no_value("–")
    )
    return panel.mappings(states()) if field == "state" else panel


def rows(
    title: str, query: Query, *, width: int = WIDE, height: int = 8, nothing: str = "none"
) -> table.Panel:
    """A table; ``nothing`` stands where there is no row."""
    panel = (
        table.Panel()
        .title(title)
        .description(said(query))
        .datasource(source())
        .with_target(Ask(query, "table"))
        .span(width)
        .height(height)
        .unit("none")
        .thresholds(steps((None, CALM)))
        .frame_index(0)
        .show_header(True)
        .cell_height(TableCellHeight.SM)
        .cell_options(TableAutoCellOptions())
        .filterable(True)
        .no_value(nothing)
    )
    options = panel.build().options
    if isinstance(options, Options):
        options.footer = None  # Grafana 13 has no footer here any more
    for name in query.columns:
        looks = column(name, query.columns)
        if looks:
            panel.override_by_name(name, looks)
    return panel


def lines(
    title: str,
    query: Query,
    *,
    unit: str = "short",
    width: int = HALF,
    height: int = 9,
    log: bool = False,
    thresholds: ThresholdsConfig | None = None,
    stacked: bool = False,
) -> timeseries.Panel:
    """Numbers over time: lines, or stacked bars of counts. They hold until the next point."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(said(query))
        .datasource(source())
        .with_target(Ask(query, "timeseries"))
        .span(width)
        .height(height)
        .unit(unit)
        .line_interpolation(LineInterpolation.STEP_AFTER)
        .show_points(VisibilityMode.AUTO)
        .fill_opacity(80 if stacked else 0)
        .thresholds(thresholds or steps((None, CALM)))
        .no_value("none")
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if log:
        panel.scale_distribution(ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10))
    if stacked:
        panel.draw_style(GraphDrawStyle.BARS)
        panel.stacking(StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if thresholds:
        dashed = GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel.thresholds_style(dashed)
    for name in query.columns:
        looks = curve(name)
        if looks:
            panel.override_by_name(name, looks)
    return panel


def bars(
    title: str, query: Query, x: str, *, unit: str = "short", width: int = HALF, height: int = 8
) -> barchart.Panel:
    """Numbers by name."""
    panel = (
        barchart.Panel()
        .title(title)
        .description(said(query))
        .datasource(source())
        .with_target(Ask(query, "table"))
        .span(width)
        .height(height)
        .unit(unit)
        .x_field(x)
        .orientation(VizOrientation.HORIZONTAL)
        .show_value(VisibilityMode.ALWAYS)
        .thresholds(steps((None, CALM)))
        .no_value("none")
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
    )
    if "share" in query.columns:  # on the axis of the counts it would be nothing
        hidden = {"viz": True, "legend": True, "tooltip": False}
        looks = [
            DynamicConfigValue("unit", "percentunit"),
            DynamicConfigValue("custom.hideFrom", hidden),
        ]
        panel.override_by_name("share", looks)
    return panel


def strip(title: str, description: str, queries: dict[str, Query]) -> statetimeline.Panel:
    """Words over time on one axis, a row for each query by its name."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(source())
        .span(WIDE)
        .height(9)
        .unit("none")
        .thresholds(steps((None, CALM)))
        .merge_values(True)
        .show_value(VisibilityMode.AUTO)
        .no_value("nothing in this time range")
    )
    for ref_id, (name, query) in zip("ABCDEF", queries.items(), strict=False):
        panel.with_target(Ask(query, "table", ref_id))
        panel.override_by_query(ref_id, [DynamicConfigValue("displayName", name)])
    return panel


def said(query: Query) -> str:
    """A query's docstring as one paragraph."""
    return " ".join(query.doc.split())

"""Small charts as SVG text. Colours come from the page's CSS, so that they suit light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import msgspec

WIDTH, HEIGHT = 400, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 14, 44
_ROW, _NAME, _NOTE = 24, 190, 120  # a strip's height, and the room for texts beside it
_LEGEND_ROW = 17


class Curve(msgspec.Struct, frozen=True):
    """A line through points; `kind` is a CSS class: "a", "b", "c" or "ideal" (dashed, grey)."""

    label: str
    points: tuple[tuple[float, float], ...]
    kind: str = "a"
    dots: bool = False


class Strip(msgspec.Struct, frozen=True):
    """One row of a distribution in [0, 1]: its 5, 25, 50, 75 and 95 % quantiles."""

    label: str
    quantiles: tuple[float, float, float, float, float]
    note: str
    kind: str = "a"


class Axis(msgspec.Struct, frozen=True):
    """A scale from 0 to `end` with the places that get a number."""

    label: str
    end: float = 1.0
    ticks: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)


def plot(title: str, x: Axis, y: Axis, curves: Sequence[Curve]) -> str:
    """Draw curves over a grid, with a legend below."""
    named = [curve for curve in curves if curve.label]
    height = HEIGHT + _LEGEND_ROW * len(named)
    parts = [
        _grid(x, y),
        *(_curve(curve, x, y) for curve in curves),
        *(_legend(place, curve) for place, curve in enumerate(named)),
    ]
    return _svg(title, WIDTH, height, parts)


def strips(title: str, rows: Sequence[Strip], *, mark: float | None = None) -> str:
    """Draw one distribution a row: thin 5 to 95 %, thick the middle half, a dot the median."""
    width = 760
    span = width - _NAME - _NOTE
    height = _ROW * len(rows) + _BOTTOM
    foot = _ROW * len(rows) + 4
    parts = [
        f'<line class="grid" x1="{_n(_NAME + span * tick)}" x2="{_n(_NAME + span * tick)}" y1="4" '
        f'y2="{foot}"/>{_text(_NAME + span * tick, foot + 16, f"{tick:g}", "middle")}'
        for tick in (0, 0.2, 0.4, 0.6, 0.8, 1)
    ]
    if mark is not None:
        at = _n(_NAME + span * mark)
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="4" y2="{foot}"/>')
    parts.append(_text(_NAME + span / 2, foot + 34, "highest risk of the call", "middle"))
    for place, row in enumerate(rows):
        parts.append(_strip(row, 4 + _ROW * (place + 0.5), span))
    return _svg(title, width, height, parts)


def spark(values: Sequence[float], *, mark: float | None = None) -> str:
    """Draw risks in [0, 1] as a small line without axes."""
    width, height = 120, 24
    last = max(1, len(values) - 1)
    points = [(1 + (width - 2) * at / last, _spark_y(value)) for at, value in enumerate(values)]
    if len(points) == 1:
        points.append((width - 1, points[0][1]))
    line = f'<line class="mark" x1="0" x2="{width}" y1="{_n(_spark_y(mark))}" ' if mark else ""
    drawn = f'{line}y2="{_n(_spark_y(mark))}"/>' if mark else ""
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'aria-hidden="true">{drawn}<polyline class="line a" points="{_points(points)}"/></svg>'
    )


def _spark_y(value: float) -> float:
    return 23 - 22 * value


def _svg(title: str, width: float, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {_n(width)} {_n(height)}" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(x: Axis, y: Axis) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    lines: list[str] = []
    for tick in x.ticks:
        at = _x(tick, x)
        lines.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP}" y2="{bottom}"/>')
        lines.append(_text(float(at), bottom + 16, f"{tick:g}", "middle"))
    for tick in y.ticks:
        at = _y(tick, y)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at}" y2="{at}"/>')
        lines.append(_text(_LEFT - 6, float(at) + 4, f"{tick:g}", "end"))
    middle = (_TOP + bottom) / 2
    lines.append(_text((_LEFT + right) / 2, bottom + 34, x.label, "middle"))
    lines.append(
        f'<text text-anchor="middle" transform="translate(11 {_n(middle)}) rotate(-90)">'
        f"{escape(y.label)}</text>"
    )
    return "".join(lines)


def _curve(curve: Curve, x: Axis, y: Axis) -> str:
    points = [
        (float(_x(min(px, x.end), x)), float(_y(min(py, y.end), y))) for px, py in curve.points
    ]
    line = f'<polyline class="line {curve.kind}" points="{_points(points)}"/>'
    if not curve.dots:
        return line
    return line + "".join(
        f'<circle class="dot {curve.kind}" cx="{_n(px)}" cy="{_n(py)}" r="3.5"/>'
        for px, py in points
    )


def _legend(place: int, curve: Curve) -> str:
    at = HEIGHT + _LEGEND_ROW * place + 4
    return (
        f'<line class="line {curve.kind}" x1="{_LEFT}" x2="{_LEFT + 22}" y1="{at}" y2="{at}"/>'
        f"{_text(_LEFT + 30, at + 4, curve.label, 'start')}"
    )


def _strip(row: Strip, middle: float, span: float) -> str:
    low, quarter, median, three, high = (_NAME + span * share for share in row.quantiles)
    at = _n(middle)
    return (
        f"{_text(_NAME - 8, middle + 4, row.label, 'end')}"
        f'<line class="thin {row.kind}" x1="{_n(low)}" x2="{_n(high)}" y1="{at}" y2="{at}"/>'
        f'<line class="thick {row.kind}" x1="{_n(quarter)}" x2="{_n(three)}" y1="{at}" y2="{at}"/>'
        f'<circle class="dot {row.kind}" cx="{_n(median)}" cy="{at}" r="4.5"/>'
        f"{_text(_NAME + span + 10, middle + 4, row.note, 'start')}"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _x(value: float, axis: Axis) -> str:
    return _n(_LEFT + (WIDTH - _LEFT - _RIGHT) * value / axis.end)


def _y(value: float, axis: Axis) -> str:
    return _n(HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / axis.end)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

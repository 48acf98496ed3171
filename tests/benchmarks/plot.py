"""Bar charts, as SVG text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

WIDTH, NAMES, BAR, STEP = 860, 250, 420, 20
OURS, OTHERS = "#2f6db5", "#b9c2cc"

Bars = Sequence[tuple[str, float, str]]
"""Name, length, and what stands behind it."""


def chart(title: str, parts: Iterable[tuple[str, Bars]]) -> str:
    """One block of bars for each part, each block in a scale of its own; the first bar of a block is ours."""
    y = 34
    shapes = [_text(10, 22, title, "bold")]
    for name, bars in parts:
        shapes.append(_text(10, y + 14, name, "bold"))
        y += STEP
        longest = max((value for _, value, _ in bars), default=0) or 1
        for number, (side, value, said) in enumerate(bars):
            length = max(1.0, BAR * value / longest)
            shapes.append(_text(26, y + 14, side))
            shapes.append(
                f'<rect x="{NAMES}" y="{y + 3}" width="{length:.1f}" height="{STEP - 6}" '
                f'fill="{OTHERS if number else OURS}"/>'
            )
            shapes.append(_text(NAMES + length + 8, y + 14, said))
            y += STEP
        y += STEP // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}" viewBox="0 0 {WIDTH} {y + 10}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, words: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}">{escape(words)}</text>'

"""What keeps a picture from being read: looked for in the boxes in which a renderer puts its letters."""

from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SHOWN = (800, 600)  # pixels in which MLflow shows an artifact
LEAST = 9  # pixels of a letter's size


def texts_of(figure: Figure) -> list[Text]:
    """All that is drawn: without ticks beyond the ends of an axis, and without axes that are switched off."""
    unseen: set[int] = set()
    for axis in figure.axes:
        if not axis.axison:
            unseen |= {id(text) for text in axis.findobj(Text)}
        for direction in (axis.xaxis, axis.yaxis):
            low, high = sorted(direction.get_view_interval())
            for tick in [*direction.get_major_ticks(), *direction.get_minor_ticks()]:
                if not low <= tick.get_loc() <= high:
                    unseen |= {id(tick.label1), id(tick.label2)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in texts if id(text) not in unseen]


def overlap(a: Bbox, b: Bbox) -> bool:
    """By more than a pixel, which rounding costs."""
    both = Bbox.intersection(a, b)
    return both is not None and both.width > 1 and both.height > 1


def faults_of(figure: Figure) -> list[str]:
    """Text that is clipped at the figure's edge, lies on other text or on a panel, or is too small where MLflow shows
    it; legends on a panel."""
    figure.draw_without_rendering()
    texts = [(text.get_text(), text.get_window_extent(), text.get_fontsize()) for text in texts_of(figure)]
    panels = [axis.get_window_extent() for axis in figure.axes if axis.axison]
    legends = [legend.get_window_extent() for legend in figure.findobj(Legend)]
    edge, zoom = figure.bbox.padded(1), min(SHOWN[0] / figure.bbox.width, SHOWN[1] / figure.bbox.height)
    faults = [f"{text!r} is clipped" for text, box, _ in texts if not _inside(box, edge)]
    faults += [f"a legend of {box} is clipped" for box in legends if not _inside(box, edge)]
    faults += [f"{a!r} lies on {b!r}" for (a, x, _), (b, y, _) in combinations(texts, 2) if overlap(x, y)]
    faults += [f"{text!r} lies on a panel" for text, box, _ in texts if any(overlap(box, panel) for panel in panels)]
    faults += [f"a legend of {box} lies on a panel" for box in legends if any(overlap(box, panel) for panel in panels)]
    sizes = [(text, size * figure.dpi / 72 * zoom) for text, _, size in texts]
    return faults + [f"{text!r} has letters of {size:.1f} pixels" for text, size in sizes if size < LEAST]


def _inside(box: Bbox, edge: Bbox) -> bool:
    return edge.x0 <= box.x0 and edge.y0 <= box.y0 and box.x1 <= edge.x1 and box.y1 <= edge.y1

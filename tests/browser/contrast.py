"""Contrast of two colours, as WCAG 2.2 defines it, and colours as a browser's computed styles give them."""

import re

TEXT = 4.5  # success criterion 1.4.3, level AA
GRAPHICS = 3.0  # success criterion 1.4.11


def parse(colour):
    """(red, green, blue, alpha) with channels 0 to 255 and alpha 0 to 1."""
    match = re.fullmatch(r"rgba?\(([^)]*)\)", colour)
    if not match:
        raise ValueError(f"not a computed colour: {colour!r}")
    numbers = [float(number) for number in re.split(r"[,\s/]+", match.group(1).strip())]
    return (*numbers[:3], numbers[3] if len(numbers) > 3 else 1.0)


def over(front, back):
    """The colour that shows when `front`, perhaps translucent, lies on an opaque `back`."""
    alpha = front[3]
    return (*(f * alpha + b * (1 - alpha) for f, b in zip(front[:3], back[:3])), 1.0)


def luminance(colour):
    """Relative luminance: 0 for black, 1 for white."""

    def linear(channel):
        channel /= 255
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(channel) for channel in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(front, back):
    """From 1 (the same) to 21 (black on white)."""
    lighter, darker = sorted((luminance(over(front, back)), luminance(back)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)

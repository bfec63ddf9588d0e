"""Pictures as small SVG files: the same numbers give the same bytes, and nothing is drawn
that a reader in the dark could not see, because every picture brings its own paper."""

from html import escape

INK, SOFT, LINE = "#1b1f24", "#57606a", "#d0d7de"
COLOURS = [
    "#0757b8", "#a3470b", "#116329", "#b3151b", "#6e3bb5",
    "#00737d", "#8a6100", "#b0307f", "#4d5b66", "#3c7a00",
]  # fmt: skip


class Picture:
    """A picture of `width` by `height`; `title` says what is seen, for those who do not see."""

    def __init__(self, width, height, title):
        self.size = (width, height)
        self.title = title
        self.parts = []

    def text(self, x, y, text, anchor="middle", colour=INK, size=11):
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}" '
            f'font-size="{size}">{escape(str(text))}</text>'
        )

    def rectangle(self, x, y, width, height, colour):
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{colour}"/>'
        )

    def line(self, points, colour, width=2, dashes=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"{dashed}/>'
        )

    def dots(self, points, colour):
        path = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in points)
        self.parts.append(
            f'<path d="{path}" stroke="{colour}" stroke-width="4" stroke-linecap="round" '
            f'stroke-opacity=".7"/>'
        )

    def image(self, x, y, side, pixels, colour_of):
        """64 values as squares; equal colours become one path."""
        paths = {}
        step = side / 8
        for index, value in enumerate(pixels):
            colour = colour_of(value)
            if colour != "#ffffff":
                left, top = x + index % 8 * step, y + index // 8 * step
                paths.setdefault(colour, []).append(f"M{left:g} {top:g}h{step:g}v{step:g}h-{step:g}z")
        for colour, squares in sorted(paths.items()):
            self.parts.append(f'<path fill="{colour}" d="{"".join(squares)}"/>')
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" fill="none" '
            f'stroke="{LINE}"/>'
        )

    def save(self, path):
        width, height = self.size
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" font-family="sans-serif">\n'
            f"<title>{escape(self.title)}</title>\n"
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


def grey(value):
    """0 is paper and 16 is ink."""
    level = 255 - round(min(max(value, 0.0), 16.0) / 16.0 * 15.0) * 17
    return f"#{level:02x}{level:02x}{level:02x}"


def signed(largest):
    """Blue speaks for, orange against; paper says nothing."""

    def colour(value):
        share = round(min(abs(value) / largest, 1.0) * 8.0) / 8.0
        towards = (7, 87, 184) if value > 0 else (179, 71, 11)
        mixed = [round(255 + (part - 255) * share) for part in towards]
        return "#{:02x}{:02x}{:02x}".format(*mixed)

    return colour


def images(title, rows, side=40, gap=6):
    """Rows of images: each row is a name and `(pixels, caption, colour)` after each other."""
    widest = max(len(row) for _, row in rows)
    picture = Picture(30 + widest * (side + gap), len(rows) * (side + gap + 14) + 6, title)
    for down, (name, row) in enumerate(rows):
        top = 4 + down * (side + gap + 14)
        picture.text(14, top + side / 2 + 4, name)
        for across, (pixels, caption, colour) in enumerate(row):
            left = 28 + across * (side + gap)
            picture.image(left, top, side, pixels, colour)
            picture.text(left + side / 2, top + side + 12, caption, colour=SOFT, size=10)
    return picture


class Chart:
    """Axes with lines; `x` and `y` are `(low, high)`, ticks are `(value, text)`."""

    LEFT, TOP, WIDE, HIGH = 56, 12, 420, 220

    def __init__(self, title, x, y, x_ticks, y_ticks, across, up):
        self.picture = Picture(self.LEFT + self.WIDE + 130, self.TOP + self.HIGH + 44, title)
        self.x, self.y = x, y
        for value, text in x_ticks:
            left, _ = self.place(value, y[0])
            self.picture.text(left, self.TOP + self.HIGH + 16, text, colour=SOFT)
        for value, text in y_ticks:
            _, top = self.place(x[0], value)
            self.picture.line([(self.LEFT, top), (self.LEFT + self.WIDE, top)], LINE, width=1)
            self.picture.text(self.LEFT - 6, top + 4, text, anchor="end", colour=SOFT)
        self.picture.text(self.LEFT + self.WIDE / 2, self.TOP + self.HIGH + 36, across)
        self.picture.text(self.LEFT, self.TOP - 1, up, anchor="start")
        self.names = 0

    def place(self, x, y):
        (low, high), (bottom, top) = self.x, self.y
        return (
            self.LEFT + (x - low) / (high - low) * self.WIDE,
            self.TOP + (top - y) / (top - bottom) * self.HIGH,
        )

    def line(self, name, points, dashes=""):
        colour = COLOURS[self.names % len(COLOURS)]
        self.picture.line([self.place(*point) for point in points], colour, dashes=dashes)
        self.name(name, colour)

    def dots(self, name, points):
        colour = COLOURS[self.names % len(COLOURS)]
        self.picture.dots([self.place(*point) for point in points], colour)
        self.name(name, colour)

    def name(self, name, colour):
        top = self.TOP + 14 + self.names * 18
        left = self.LEFT + self.WIDE + 12
        self.picture.rectangle(left, top - 8, 10, 10, colour)
        self.picture.text(left + 16, top + 1, name, anchor="start")
        self.names += 1

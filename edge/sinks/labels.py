"""Labels on a picture, each on a ground of its own: none covers another, and none hangs over the edge."""

import unicodedata
from collections.abc import Iterator, Sequence

import cv2

Color = tuple[int, int, int]
Box = Sequence[int]

FONT = cv2.FONT_HERSHEY_SIMPLEX
FARTHEST = 3
"""A label that finds no place at its box moves up or down by so many of its heights; farther away nobody sees whose
it is."""
FEWEST_LINES = 4
"""A picture in which fewer lines of letters have room gets no clock and no count."""
LONGEST = 32
"""Characters of a class's name; what is longer is cut."""
_FONT_PX = 22  # height of a capital in this font at scale 1
_UNICODE = int(cv2.__version__.partition(".")[0]) >= 5


class Labels:
    """Puts labels on one picture, the most important first."""

    def __init__(self, picture: cv2.typing.MatLike, capital_px: float, line: int) -> None:
        """Begin with a picture that has none.

        Args:
            picture: uint8 (H, W, 3) BGR, drawn on.
            capital_px: height of a capital letter.
            line: width of the lines of boxes.
        """
        self._picture, self._line = picture, line
        self._height, self._width = picture.shape[:2]
        self._scale = capital_px / _FONT_PX
        self._stroke = max(1, round(capital_px / 9))
        self._pad = max(2, round(capital_px / 3))
        self._text_height = cv2.getTextSize("X", FONT, self._scale, self._stroke)[0][1]
        self._taken = bytearray(self._height * self._width)  # 1 = under a label

    def put(self, texts: Sequence[str], box: Box, color: Color) -> bool:
        """Write at a box, at the first free place: above, below, inside, beside, or a little farther off.

        Args:
            texts: the same in fewer and fewer words; the first that finds a place is written.
            box: x0, y0, x1, y1 in pixels; may reach over the edge.
            color: of the ground.

        Returns:
            False where there was no place for any of them: then nothing is written.
        """
        for text in texts:
            width, height = self.size(text)
            for left, top in self._spots(box, width, height):
                if self._is_free(left, top, width, height):
                    self._write(text, (left, top, width, height), color)
                    return True
        return False

    def put_corner(self, text: str, right: bool) -> None:
        """Write in the upper left or right corner, or in the first free line below; cut to the picture's width.

        A picture of less than `FEWEST_LINES` stays without: there would be nothing else to see.
        """
        text = self.cut(text)
        width, height = self.size(text)
        if not text or FEWEST_LINES * height > self._height:
            return
        left = self._width - width if right else 0
        for top in range(0, self._height - height + 1, height):
            if self._is_free(left, top, width, height):
                self._write(text, (left, top, width, height), (40, 40, 40))
                return

    def size(self, text: str) -> tuple[int, int]:
        """Return width and height of a label in pixels, with its ground."""
        width = cv2.getTextSize(text, FONT, self._scale, self._stroke)[0][0]
        return width + 2 * self._pad, self._text_height + 2 * self._pad

    def cut(self, text: str) -> str:
        """Return as much of a text as the picture is wide; "" if that is nothing."""
        whole = text
        while text and self.size(text)[0] > self._width:
            whole = whole[:-1]
            text = f"{whole}..." if whole else ""
        return text

    def _spots(self, box: Box, width: int, height: int) -> Iterator[tuple[int, int]]:
        """Yield left and top of possible places, the best first; none if the picture is too small."""
        right, bottom = self._width - width, self._height - height
        if right < 0 or bottom < 0:
            return
        x0, y0, x1, y1 = box
        x0 -= self._line // 2
        for left, top in ((x0, y0 - height), (x0, y1), (x0, y0), (x0, y1 - height), (x1, y0), (x0 - width, y0)):
            yield max(0, min(left, right)), max(0, min(top, bottom))
        for far in range(1, FARTHEST + 1):
            for step in (far, -far - 1):
                yield max(0, min(x0, right)), max(0, min(y0 + step * height, bottom))

    def _is_free(self, left: int, top: int, width: int, height: int) -> bool:
        """Tell whether no label is there. All are of one height: one in the way is in the first or in the last row."""
        first, last = (row * self._width + left for row in (top, top + height - 1))
        return self._taken.find(1, first, first + width) < 0 and self._taken.find(1, last, last + width) < 0

    def _write(self, text: str, place: tuple[int, int, int, int], color: Color) -> None:
        left, top, width, height = place
        cv2.rectangle(self._picture, (left, top), (left + width - 1, top + height - 1), color, cv2.FILLED)
        blue, green, red = color
        dark = 0.114 * blue + 0.587 * green + 0.299 * red > 110  # luma of ITU-R BT.601
        ink = (0, 0, 0) if dark else (255, 255, 255)
        at = (left + self._pad, top + height - self._pad)
        cv2.putText(self._picture, text, at, FONT, self._scale, ink, self._stroke, cv2.LINE_AA)
        for row in range(top, top + height):
            start = row * self._width + left
            self._taken[start : start + width] = b"\1" * width


def drawable(name: str, index: int) -> str:
    """Return a class's name as this OpenCV can draw it.

    OpenCV 5 draws Latin, Greek, Cyrillic and Chinese letters. OpenCV 4 has ASCII alone and draws a question mark for
    each byte of anything else: there accents are left out, and a name of other letters becomes "class 3".
    """
    name = " ".join(name.split())
    if not _UNICODE and not name.isascii():
        plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
        plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
        name = plain if plain.isascii() else f"class {index}"
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."

"""Labels by the sheet: a document for an office printer; nothing runs in it, nothing is fetched. Pure."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from services.dispatch.loads.label import STOCK

MEDIA_TYPE: Final = "text/html"
PAGE: Final = (210, 297)
# What does not fit the page by a hair makes an empty one after it: the foot of a sheet is left to the page.
STYLE: Final = (
    "@page{size:A4;margin:0}"
    "body{margin:0}"
    "section{display:grid;box-sizing:border-box;break-inside:avoid;break-after:page;"
    f"grid-template-columns:repeat({STOCK.columns},{STOCK.width}mm);grid-auto-rows:{STOCK.height}mm;"
    f"column-gap:{STOCK.gap}mm;width:{PAGE[0]}mm;"
    f"padding:{(PAGE[1] - STOCK.rows * STOCK.height) / 2:.2f}mm 0 0;justify-content:center}}"
    "section:last-child{break-after:auto}"
    "svg{display:block}"
)
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'"
)
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": f"{POLICY}; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


def lay_out(drawings: Sequence[str]) -> str:
    """Return labels as sheets of the stock, each on a page of its own.

    The policy is in the document too: it is saved and opened without its headers, and no name is believed.
    """
    sheets = "".join(
        f"<section>{''.join(drawings[first : first + STOCK.per_sheet])}</section>"
        for first in range(0, len(drawings), STOCK.per_sheet)
    )
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{len(drawings)}</title><style>{STYLE}</style></head><body>{sheets}</body></html>"
    )

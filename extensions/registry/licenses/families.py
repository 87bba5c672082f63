"""Sorts licences, as people and packages write them, into families."""

from __future__ import annotations

import re

_STRONG = re.compile(r"\b(A?GPL|GNU (AFFERO )?GENERAL PUBLIC|SSPL|EUPL|OSL|CC-BY-SA)", re.IGNORECASE)
_WEAK = re.compile(r"\b(LGPL|GNU LESSER|GNU LIBRARY|MPL|MOZILLA PUBLIC|EPL|ECLIPSE|CDDL)", re.IGNORECASE)
_PERMISSIVE = re.compile(
    r"\b(MIT|BSD|APACHE|ISC|ZLIB|UNLICENSE|CC0|0BSD|PSF|PYTHON SOFTWARE|WTFPL|BLUEOAK|UNICODE|BSL-1|BOOST"
    r"|PUBLIC DOMAIN)",
    re.IGNORECASE,
)


def family(license: str) -> str:
    """`permissive`, `weak copyleft`, `strong copyleft` or `unknown`.

    Of licences to choose between (`MIT OR GPL-2.0`) the mildest counts, of those that all hold the strictest.
    """
    choices = [_of_all(part) for part in re.split(r"\s+OR\s+|/", license)]
    known = [choice for choice in choices if choice != "unknown"]
    return min(known, key=_ORDER.index) if known else "unknown"


_ORDER = ["permissive", "weak copyleft", "strong copyleft", "unknown"]


def _of_all(text: str) -> str:
    # LGPL is looked for first, for its long name holds that of the GPL.
    rest = _WEAK.sub("", text)
    if _STRONG.search(re.sub(r"GNU LESSER GENERAL PUBLIC\S*", "", rest, flags=re.IGNORECASE)):
        return "strong copyleft"
    if _WEAK.search(text):
        return "weak copyleft"
    return "permissive" if _PERMISSIVE.search(text) else "unknown"

"""What a page may do, said in the page itself: run and look as written here, show drawings it holds, reach nothing.

Content Security Policy Level 3 (W3C): `default-src 'none'` refuses every request; scripts and style sheets are allowed
by the SHA-256 of their text, and only those that are the project's own files, word by word: a script in a user's
string that slipped through as markup would still not run.
"""

import re
from base64 import b64encode
from hashlib import sha256

MARK = "POLICY"  # where the template wants it
INLINE = {
    "script-src": re.compile(r"<script>(.*?)</script>", re.S),
    "style-src": re.compile(r"<style>(.*?)</style>", re.S),
}


def stated(page: str, own: set[str]) -> str:
    """The page with its policy in place of the mark; own: the scripts and style sheets it may have, stripped."""
    texts = {name: [text for text in found.findall(page) if text.strip() in own] for name, found in INLINE.items()}
    sources = {name: list(map(_hash, held)) for name, held in texts.items()}
    allowed = [f"{name} {' '.join(hashes)}" for name, hashes in sources.items() if hashes]
    parts = ["default-src 'none'", "img-src data:", *allowed, "base-uri 'none'", "form-action 'none'"]
    return page.replace(MARK, "; ".join(parts), 1)


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

"""A page states what it may do; every inline script and style sheet is allowed by its own text alone."""

from base64 import b64encode
from hashlib import sha256

from reports import policy


def hashed(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_each_text_is_allowed_and_nothing_else() -> None:
    page = "<meta POLICY><style>a{}</style><script>one()</script><script type='application/json'>{}</script>"
    stated = policy.stated(page)
    assert hashed("a{}") in stated
    assert hashed("one()") in stated
    assert hashed("{}") not in stated
    assert "default-src 'none'" in stated
    assert "unsafe" not in stated


def test_a_page_without_scripts_allows_none() -> None:
    stated = policy.stated("<meta POLICY><style>a{}</style>")
    assert "script-src" not in stated  # default-src 'none' holds
    assert "POLICY" not in stated


def test_another_text_has_another_hash() -> None:
    assert policy.stated("POLICY<style>a</style>") != policy.stated("POLICY<style>b</style>")

"""A page states what it may do; only the project's own scripts and style sheets are allowed, by their text."""

from base64 import b64encode
from hashlib import sha256

from reports import policy

OWN = {"a{}", "one()"}
PAGE = "<meta POLICY><style>a{}</style><script>\none()\n</script><script type='application/json'>{}</script>"


def hashed(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_each_own_text_is_allowed_as_it_stands() -> None:
    stated = policy.stated(PAGE, OWN)
    assert f"style-src {hashed('a{}')};" in stated
    script = "\none()\n"
    assert f"script-src {hashed(script)};" in stated
    assert hashed("{}") not in stated
    assert "default-src 'none'" in stated
    assert "unsafe" not in stated


def test_a_script_that_slipped_in_is_not_allowed() -> None:
    evil = "<script>alert(1)</script><style>body{display:none}</style>"
    assert policy.stated(PAGE + evil, OWN) == policy.stated(PAGE, OWN) + evil


def test_a_page_without_scripts_allows_none() -> None:
    stated = policy.stated("<meta POLICY><style>a{}</style>", OWN)
    assert "script-src" not in stated  # default-src 'none' holds
    assert "POLICY" not in stated

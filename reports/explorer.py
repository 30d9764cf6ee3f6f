"""The explorer of a page: what `explorer.json` holds, as text that a `<script type="application/json">` can hold."""

from markupsafe import Markup

from studies import results
from studies.results import Results

# Letters that could end the script, begin a comment in it, or break a line of JavaScript; JSON reads them back.
ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def embedded(found: Results) -> Markup | None:
    """The explorer's data for the page; None where there is nothing to move."""
    if not found.explorer or not found.explorer["scenarios"]:
        return None
    return Markup(results.explorer_text(found.explorer).translate(ESCAPED))

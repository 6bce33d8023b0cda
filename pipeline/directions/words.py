"""Finding words in captions and slugs, and writing others in their place."""

import re

COUNTER = "counter-clockwise"  # unless the dataset spells it otherwise
WORD = re.compile(r"[^\W_]+")
BETWEEN = r"[\s_-]+"
# A word ends at anything but a letter or digit, and inside of CamelCase.
CAMEL = r"(?-i:(?<=[a-z])(?=[A-Z]))"
HUMP = re.compile(CAMEL)
START, END = rf"(?:(?<![^\W_])|{CAMEL})", rf"(?:(?![^\W_])|{CAMEL})"


def words_of(text: str) -> list[str]:
    """The words, lower case, those of CamelCase apart."""
    return WORD.findall(text if text.islower() else HUMP.sub(" ", text).lower())


def whole(words: str) -> str:
    """The pattern of these words, alternatives or a pattern, as whole words; a space stands for any gap of a slug."""
    return f"{START}(?:{words.replace(' ', BETWEEN)}){END}"


def write_like(words: str, replaced: str, text: str) -> str:
    """The words with the capitals of what they replace, joined as the text joins its own."""
    models = re.split(BETWEEN, replaced)
    # `Approaching` becomes `Moving away from`: one capital says nothing about the words that follow.
    rest = models[-1] if len(models) > 1 or _is_upper(models[0]) else "x"
    new = words.split()
    models += [rest] * (len(new) - len(models))
    glue = next((mark for mark in " -_" if mark in text), " ")
    return glue.join(_cased(word, model) for word, model in zip(new, models, strict=False))


def _cased(word: str, model: str) -> str:
    return word.upper() if _is_upper(model) else word[0].upper() + word[1:] if model[0].isupper() else word


def _is_upper(word: str) -> bool:
    return len(word) > 1 and word.isupper()

"""Taking text apart: words, sentences, counts, quoted arguments."""

import re
from collections import Counter

from textkit.errors import QuoteError

ABBREVIATIONS = {"mr.", "mrs.", "dr.", "e.g.", "i.e.", "no.", "vs."}

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?]+[\"')]*\s+")


def words(text):
    """Words, with inner apostrophes and hyphens: ``don't``, ``e-mail``."""
    return _WORD.findall(text)


def count_words(text, ignore=()):
    """How often each word occurs, whatever its case."""
    ignored = {word.lower() for word in ignore}
    found = (word.lower() for word in words(text))
    return Counter(word for word in found if word not in ignored)


def most_common(text, limit, ignore=()):
    """The `limit` most frequent words; equally frequent ones by name."""
    counts = count_words(text, ignore)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ranked[:limit]


def sentences(text):
    """Sentences, each with its punctuation; abbreviations end none."""
    found = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        sentence = text[start : match.end()].strip()
        if sentence.split()[-1].lower() in ABBREVIATIONS:
            continue
        found.append(sentence)
        start = match.end()
    rest = text[start:].strip()
    if rest:
        found.append(rest)
    return found


def split_arguments(text):
    """Split at spaces; single or double quotes keep text together."""
    arguments = []
    current = None
    quote = None
    opened = 0
    for position, letter in enumerate(text):
        if quote:
            if letter == quote:
                quote = None
            else:
                current += letter
        elif letter in "'\"":
            quote, opened = letter, position
            current = current or ""
        elif letter.isspace():
            if current is not None:
                arguments.append(current)
            current = None
        else:
            current = (current or "") + letter
    if quote:
        raise QuoteError(opened)
    if current is not None:
        arguments.append(current)
    return arguments

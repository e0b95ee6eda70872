"""Small tools for text: wrapping, slugs, tables, templates and tokens."""

from textkit.errors import TemplateError, TextError
from textkit.slugs import slugify, unique_slug
from textkit.tables import table
from textkit.templates import render
from textkit.tokens import sentences, split_arguments, words
from textkit.words import join_words, plural
from textkit.wrapping import dedent, indent, truncate, wrap

__all__ = [
    "TemplateError",
    "TextError",
    "dedent",
    "indent",
    "join_words",
    "plural",
    "render",
    "sentences",
    "slugify",
    "split_arguments",
    "table",
    "truncate",
    "unique_slug",
    "words",
    "wrap",
]

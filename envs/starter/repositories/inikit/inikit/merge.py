"""One document over another."""

from inikit.document import Document, Section, fold

APPEND = "+"


def merge_section(target, extra):
    """Set the options of `extra`; `key+ = x` appends x to a list."""
    for key, value in extra.items():
        name = key.rstrip()
        if name.endswith(APPEND):
            name = name[: -len(APPEND)].rstrip()
            before = target.get(name)
            value = f"{before}, {value}" if before else value
        target.set(name, value)


def merge(*documents):
    """A new document; the later ones win. None of them is changed."""
    result = Document()
    for document in documents:
        for section in document:
            merge_section(result.section(section.name, create=True), section)
    return result


def overlay(base, extra, only=()):
    """Like merge of two, but only of the named sections of `extra`."""
    result = base.copy()
    wanted = {fold(name) for name in only}
    for section in extra:
        if wanted and fold(section.name) not in wanted:
            continue
        merge_section(result.section(section.name, create=True), section)
    return result


def changes(old, new):
    """(section, key, old value, new value); None where it is not set."""
    found = []
    names = old.names() + [name for name in new.names() if name not in old]
    for name in names:
        before = old.section(name) if name in old else Section(name)
        after = new.section(name) if name in new else Section(name)
        added = [key for key in after.keys() if key not in before]
        for key in before.keys() + added:
            left = before.get(key)
            right = after.get(key)
            if left != right:
                found.append((name, key, left, right))
    return found

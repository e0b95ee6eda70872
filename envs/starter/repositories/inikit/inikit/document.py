"""Documents, their sections and options."""

DEFAULTS = "defaults"

_MISSING = object()


def fold(name):
    """Names are compared without case and outer spaces."""
    return name.strip().lower()


class Section:
    """Options in the order in which they were set."""

    def __init__(self, name, options=None):
        self.name = name
        self._options = {}
        for key, value in (options or {}).items():
            self.set(key, value)

    def __len__(self):
        return len(self._options)

    def __contains__(self, key):
        return fold(key) in self._options

    def set(self, key, value):
        """Set an option; a known one keeps its place and spelling."""
        name = self._options.get(fold(key), (key,))[0]
        self._options[fold(key)] = (name, str(value))

    def get(self, key, default=None):
        entry = self._options.get(fold(key))
        return default if entry is None else entry[1]

    def remove(self, key):
        """Take an option away; says whether it was there."""
        return self._options.pop(fold(key), None) is not None

    def items(self):
        return list(self._options.values())

    def keys(self):
        return [name for name, _ in self._options.values()]

    def copy(self):
        return Section(self.name, dict(self.items()))


class Document:
    """Sections in order. `defaults` answers where a section does not."""

    def __init__(self):
        self._sections = {}

    def __contains__(self, name):
        return fold(name) in self._sections

    def __iter__(self):
        return iter(self._sections.values())

    def names(self):
        return [section.name for section in self]

    def section(self, name, create=False):
        """A section by its name; KeyError where there is none."""
        if create:
            return self._sections.setdefault(fold(name), Section(name))
        if fold(name) not in self._sections:
            raise KeyError(f"no such section: {name}")
        return self._sections[fold(name)]

    def add(self, section):
        """Put a section in, in place of one of the same name."""
        self._sections[fold(section.name)] = section

    def remove(self, name):
        """Take a section away; says whether it was there."""
        return self._sections.pop(fold(name), None) is not None

    def get(self, section, key, default=_MISSING):
        """An option, else the one of `defaults`, else the default."""
        for name in (section, DEFAULTS):
            if name in self and key in self.section(name):
                return self.section(name).get(key)
        if default is _MISSING:
            raise KeyError(f"no such option: {section}.{key}")
        return default

    def set(self, section, key, value):
        self.section(section, create=True).set(key, value)

    def copy(self):
        """A document of its own, with sections of its own."""
        document = Document()
        for section in self:
            document.add(section.copy())
        return document

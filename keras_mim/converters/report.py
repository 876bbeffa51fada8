import dataclasses


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of a checkpoint.

    Attributes:
        source: str. The checkpoint.
        loaded: tuple of str. Names of the arrays that went into the model.
        unused: tuple of str. Names of the arrays that the model has no place
            for.
        missing: tuple of str. Names that the model wants and the checkpoint
            lacks; their weights stay as they were.
        reshaped: dict of str to str. What was fitted to another grid or other
            channels, and how.
        taken: str. Where in the file the arrays are: keys, and what their
            names begin with, joined by dots. Empty if nothing is around them.
    """

    source: str
    loaded: tuple = ()
    unused: tuple = ()
    missing: tuple = ()
    reshaped: dict = dataclasses.field(default_factory=dict)
    taken: str = ""

    def __str__(self):
        of = f" of {self.taken!r}" if self.taken else ""
        lines = [f"{self.source}: {len(self.loaded)} arrays loaded{of}"]
        for title in ("unused", "missing"):
            names = getattr(self, title)
            if names:
                lines.append(f"{title}: {abridged(names)}")
        lines += [f"{name}: {how}" for name, how in self.reshaped.items()]
        return "\n".join(lines)


def abridged(names, limit=8):
    """Returns names to print: the first ones, and how many there are more."""
    names = list(names)
    text = ", ".join(names[:limit])
    rest = len(names) - limit
    return f"{text} and {rest} more" if rest > 0 else text

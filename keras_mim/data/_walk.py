import collections
import os


class Walk:
    """Finds the files below a folder, each once, whatever links lead to it.

    What really lies below the folder comes first, and then what links add: a
    link to a folder or a file that was found already adds nothing, and neither
    does one to a folder that it lies in, or that the root lies in. Names that
    begin with a dot are left out, and so is `__MACOSX`, where macOS puts its
    own files into archives.

    Args:
        root: str. The folder.
        is_wanted: callable. Takes the name of a file and returns whether it
            is listed.

    Attributes:
        files: list of str. The paths, in no order. Broken links are among
            them, as only who reads them notices.
        folders: set of str. Names of the folders directly below the root.
        others: dict. By the suffix of files that are not wanted, a pair: their
            number, and the path of the first.
        problems: list of str. What could not be listed, and why.
        twice: list of pairs `(path, folder)`: what is below two folders of
            `folders`, and the other one.
    """

    def __init__(self, root, is_wanted):
        self.is_wanted = is_wanted
        self.files = []
        self.folders = set()
        self.others = {}
        self.problems = []
        self.twice = []
        # By the real path of a folder, the one of `folders` it was found in.
        self._found_in = {}
        self._to_list = [(root, os.path.realpath(root), None)]
        self._linked_folders = collections.deque()
        self._linked_files = []
        self._root = self._to_list[0][1]
        while self._to_list or self._linked_folders:
            if self._to_list:
                self._list(*self._to_list.pop())
            else:
                self._follow(*self._linked_folders.popleft())
        self._add_linked_files()

    def _list(self, folder, real, top):
        """Lists a folder, unless it is known. `top` is the one of `folders`."""
        if self._is_known(folder, real, top):
            return
        self._found_in[real] = top
        if top is not None:
            self.folders.add(top)
        try:
            with os.scandir(folder) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = error.strerror or error
            self.problems.append(
                f"{printable(folder)}, which cannot be listed: {reason}"
            )
            return
        for entry in entries:
            name, path, is_link = entry.name, entry.path, entry.is_symlink()
            if name[0] == "." or name == "__MACOSX":
                continue
            if os.path.isdir(path) if is_link else _is_folder(entry):
                below = name if top is None else top
                if is_link:
                    self._linked_folders.append((path, real, below))
                else:
                    self._to_list.append(
                        (path, os.path.join(real, name), below)
                    )
            elif not self.is_wanted(name):
                suffix = os.path.splitext(name)[1].lower()
                count, first = self.others.get(suffix, (0, path))
                self.others[suffix] = count + 1, first
            elif is_link and not os.path.exists(path):
                self.files.append(path)
            elif not (os.path.isfile(path) if is_link else _is_file(entry)):
                self.problems.append(
                    f"{printable(path)}, which is no file but a pipe, a "
                    "socket or a device"
                )
            elif is_link:
                self._linked_files.append((path, top))
            else:
                self.files.append(path)

    def _follow(self, link, holder, top):
        """Lists the folder that a link in the folder `holder` leads to."""
        real = os.path.realpath(link)
        # Else a loop: what is to be listed contains this link.
        if not _contains(real, holder) and not _contains(real, self._root):
            self._to_list.append((link, real, top))

    def _add_linked_files(self):
        found_in = {}
        for path, top in self._linked_files:
            real = os.path.realpath(path)
            folder, name = os.path.split(real)
            is_listed = self.is_wanted(name) and name[0] != "."
            if is_listed and self._is_known(path, folder, top):
                continue
            if real in found_in:
                self._note(path, top, found_in[real])
                continue
            found_in[real] = top
            self.files.append(path)

    def _is_known(self, path, folder, top):
        """Returns whether a folder, given its real path, was listed."""
        if folder not in self._found_in:
            return False
        self._note(path, top, self._found_in[folder])
        return True

    def _note(self, path, top, other):
        if None not in (top, other) and top != other:
            self.twice.append((path, other))


def printable(name):
    """Returns the name of a file as text that can be printed on a line.

    What is no UTF-8, and characters such as a newline, are escaped.

    Args:
        name: str, as `os` gives it.

    Returns:
        str.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def _is_folder(entry):
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_file(entry):
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return True  # Whoever reads it will say what is wrong.


def _contains(folder, path):
    return path == folder or path.startswith(os.path.join(folder, ""))

"""Objects that say when they are gone."""

from meeting import touch


class Mortal:
    """Creates a file when Python forgets it."""

    def __init__(self, file):
        self.file = file

    def __del__(self):
        touch(self.file)

"""The commands of ``flux``, a file each, imported when they are called."""

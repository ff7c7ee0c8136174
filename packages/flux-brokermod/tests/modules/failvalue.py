"""A module that does not like its arguments."""


def mod_main(h, *args):
    raise ValueError(f"unknown arguments {args}")

"""A module with a fault."""


def mod_main(h, *args):
    raise RuntimeError("a fault")

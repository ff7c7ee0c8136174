"""A module that ends before it begins."""


def mod_main(h, *args):
    pass

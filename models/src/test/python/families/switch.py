def make_all(root, wanted, write): pass

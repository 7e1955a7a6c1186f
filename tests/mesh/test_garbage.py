"""What a process has loaded is left out of its garbage collections."""

import gc

from mesh.garbage import spare_what_is_loaded


class Node:
    def __init__(self) -> None:
        self.itself = self


def test_collections_look_only_through_what_came_later() -> None:
    loaded = Node()
    try:
        spare_what_is_loaded()
        assert gc.get_freeze_count() > 1000
        later = Node()
        looked_through = {id(one) for one in gc.get_objects()}
        assert id(later) in looked_through
        assert id(loaded) not in looked_through
    finally:
        gc.unfreeze()

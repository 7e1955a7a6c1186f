import socket

from scheduler.ray_driver import wait_for_head


def test_a_head_that_listens_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        wait_for_head(f"127.0.0.1:{head.getsockname()[1]}", seconds=60.0)


def test_a_head_that_never_comes_is_not_waited_for_for_ever() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        wait_for_head(f"127.0.0.1:{taken.getsockname()[1]}", seconds=0.05)

import socket
from pathlib import Path

from infra.ports import LOOPBACK, Ports, is_free


def test_a_port_is_remembered_while_it_is_free(tmp_path: Path) -> None:
    port = Ports(tmp_path / "ports.json").choose("gateway")
    assert Ports(tmp_path / "ports.json").choose("gateway") == port


def test_a_port_that_somebody_has_taken_is_chosen_anew(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    port = ports.choose("gateway")
    with socket.socket() as taker:
        taker.bind((LOOPBACK, port))
        taker.listen()
        assert not is_free(port)
        assert ports.choose("gateway") != port


def test_names_get_ports_of_their_own_outside_rays_range(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    chosen = [ports.choose(name) for name in "abcdef"]
    assert len(set(chosen)) == 6
    assert all(20_000 <= port < 32_000 for port in chosen)


def test_a_torn_file_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"gateway": 2')
    assert Ports(tmp_path / "ports.json").find("gateway") is None

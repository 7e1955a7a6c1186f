import pytest

from infra.errors import SetupError
from infra.urls import parse_url


def test_a_url_survives_the_round_trip_with_odd_characters() -> None:
    text = "postgresql://us%40er:p%2Fw@db.example:6432/na%20me?sslmode=require"
    url = parse_url(text, "DATABASE_URL")
    assert (url.user, url.password, url.database) == ("us@er", "p/w", "na me")
    assert str(url) == text


def test_another_user_reaches_the_same_database() -> None:
    url = parse_url("postgres://owner:secret@[::1]/formwork", "DATABASE_URL")
    assert str(url.as_user("reader", "x")) == "postgresql://reader:x@[::1]:5432/formwork"


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_url("postgresql://a:secret@b/c", "DATABASE_URL"))


@pytest.mark.parametrize(
    "text",
    ["", "mysql://a:b@c/d", "postgresql://c/d", "postgresql://a:b@c", "postgresql://a@c:x/d"],
)
def test_what_is_not_a_database_url_is_refused_by_variable(text: str) -> None:
    with pytest.raises(SetupError, match="DATABASE_DIRECT_URL must look like postgresql://"):
        parse_url(text, "DATABASE_DIRECT_URL")

"""Signatures, against the example of the specification's reference libraries."""

import base64

from service.webhooks.signatures import new_secret, signed_headers


def test_the_signature_is_that_of_the_reference() -> None:
    """The example message that the reference libraries test with."""
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        b'{"test": 2432232314}',
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
    )
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_as_long_as_the_specification_asks() -> None:
    """24 to 64 bytes, in base64 after the prefix, and never twice the same."""
    first, second = new_secret(), new_secret()
    assert first.startswith("whsec_")
    assert 24 <= len(base64.b64decode(first.removeprefix("whsec_"))) <= 64
    assert first != second

"""A login by password, for who installs a key: the password is used once and kept nowhere.

A server may ask for it in two ways: as a password, or as the answer to a question of its own (keyboard-interactive, as
PAM does). It may also ask for something else, such as a code; that is nothing we have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from batchwasm.errors import HostError
from batchwasm.transports.ssh_config import Settings
from batchwasm.transports.ssh_keys import HostKeys

BESIDES = "password"
"""What a server asks for that took a key, or wants none."""


class AsksMore(HostError):
    """HostError `auth` of a host that wants something else besides a password, or instead of it."""

    def __init__(self, cause: str, options: Settings) -> None:
        from batchwasm.transports.openssh_client import Client
        from batchwasm.transports.openssh_errors import by_hand

        line = by_hand(Client(endpoint=options.endpoint))
        super().__init__("auth", cause, f"log in once yourself, and add it again while that stands: {line}")


@dataclass(kw_only=True, slots=True)
class Password:
    """`text` is None for who only wants to know whether one would do: see `would_do` after the login was refused."""

    text: str | None = field(default=None, repr=False)
    after_keys: bool = False
    """Keys are tried first, as ever, and what the server asks for when it refused them is only taken down."""
    asked: bool = False
    other: str = ""
    """What the server asked for instead or besides."""

    hung_up: bool = False
    """After so many keys that it was heard on nothing else."""

    @property
    def would_do(self) -> bool | None:
        """None is unknown: `after_keys` did not come to it."""
        return None if self.hung_up and not (self.asked or self.other) else self.asked and not self.other

    def refused(self, name: str, options: Settings, reason: str) -> HostError:
        where = f"{name}: {options.known_name}"
        if self.other:
            what = "a key" if self.other == BESIDES else "a key or a password" if self.after_keys else "a password"
            return AsksMore(f"{where} asks user {options.user} for more than {what}: {self.other!r}", options)
        if not self.asked:
            return HostError("auth", f"{where} takes no password of user {options.user} ({reason})")
        return HostError("auth", f"{where} does not take that password of user {options.user} ({reason})", "try again")


class AskedFor(HostKeys):
    """Judges the host's key as ever, and gives the password where it is asked for, once."""

    def __init__(self, options: Settings, password: Password) -> None:
        # As ssh does: where StrictHostKeyChecking is `no` a key may be new, but one that changed gets no password.
        judged = options.strict == "no" and not password.after_keys
        super().__init__(replace(options, strict="accept-new") if judged else options)
        self._password = password
        self._given = self._keys_refused = self._asks = False

    @property
    def with_keys(self) -> bool:
        return self._password.after_keys

    def public_key_auth_requested(self) -> None:
        """All keys were refused."""
        self._keys_refused = True

    def password_auth_requested(self) -> str | None:
        return self._give()

    def kbdint_auth_requested(self) -> str | None:
        """'' is: ask whatever you like. Once: an sshd without PAM offers it, asks nothing, and refuses it each time."""
        asked, self._asks = self._asks, True
        return None if asked or self._given else ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        if not prompts:
            return []
        (prompt, shown), *more = prompts
        if more or shown or "password" not in prompt.lower():
            self._password.other = " ".join(text.strip() for text, _ in prompts)
            return None
        answer = self._give()
        return None if answer is None else [answer]

    def _give(self) -> str | None:
        self._password.asked = True
        if self.with_keys and not self._keys_refused:
            self._password.other = BESIDES
        given, self._given = self._given, True
        return None if given else self._password.text

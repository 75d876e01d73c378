"""Which passwords are acceptable, and the one form of each (RFC 8265)."""

from precis_i18n import get_profile

from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.sanitize import REPLACEMENT, sanitize

_OPAQUE = get_profile("OpaqueString")

# Characters. NIST SP 800-63B asks for at least 8, and that at least 64 be allowed; nobody types
# more than these.
MIN_PASSWORD, MAX_PASSWORD = 8, 256
# Characters that are looked at: composing makes a password shorter, by four to one at most.
MAX_TYPED = 4 * MAX_PASSWORD


def prepared(password: str) -> str:
    """The one form of what is typed the same, be it in a command or alone, at whatever door (RFC
    8265, OpaqueString): accents can be sent as characters of their own. Raises `Refusal`
    (PASSWORD_LENGTH, if it can be none, or could not be typed again)."""
    typed = sanitize(password).strip()
    if len(typed) > MAX_TYPED:  # before it is normalised, which costs O(n²) of combining marks
        raise Refusal(ErrorCode.PASSWORD_LENGTH, least=MIN_PASSWORD, most=MAX_PASSWORD)
    try:
        enforced = _OPAQUE.enforce(typed).strip(" ")
    except UnicodeEncodeError:
        enforced = REPLACEMENT
    if REPLACEMENT in enforced:
        raise Refusal(ErrorCode.PASSWORD_LENGTH, least=MIN_PASSWORD, most=MAX_PASSWORD)
    return enforced


def fit(password: str, least: int = MIN_PASSWORD) -> str:
    """`password`, prepared, if it may be one: it has to have `least` characters. Raises `Refusal`
    (PASSWORD_LENGTH)."""
    if not least <= len(password := prepared(password)) <= MAX_PASSWORD:
        raise Refusal(ErrorCode.PASSWORD_LENGTH, least=least, most=MAX_PASSWORD)
    return password

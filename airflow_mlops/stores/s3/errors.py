"""What S3 refuses or does not answer, in our words: what was done, where, why, and what helps."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from traceback import walk_tb
from typing import Any

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.spec.problems import Problem, ReasonCode

_ACCESS = (
    "give the connection's user or role what docs/iam/storage-policy.json lists, and the KMS key's use where objects "
    "are encrypted; the bucket's own policy must not deny it"
)
_AGAIN = "it is tried again; check the network, the connection's endpoint_url and the service if it stays so"


class NotS3Error(Exception):
    """An answer that says it went well, and has nothing of what S3's have."""


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why S3 did not do what it was asked."""

    what: str
    fix: str
    lasting: bool = True
    """Whether a person must do something before trying again helps."""


_BUCKET = Cause(what="there is no such bucket", fix="create it, or correct the name and the connection's account")
_DENIED = Cause(what="access is denied", fix=_ACCESS)
_UNKNOWN = Cause(
    what="S3 does not know these credentials, or not this secret", fix="correct the connection's login and password"
)
_EXPIRED = Cause(
    what="the connection's session token has expired",
    fix="renew the token in the connection, or give the connection a role, whose tokens are renewed without you",
)
_KEY = Cause(
    what="the KMS key cannot be used", fix="check [mlops] s3_kms_key_id, that the key is enabled, and who may use it"
)
_REGION = Cause(
    what="the bucket is in another region", fix="set region_name in the connection's extra to the bucket's region"
)
_SKEW = Cause(
    what="this machine's clock is not S3's",
    fix="set the clock of this machine (NTP); S3 allows 15 minutes of difference",
)
_THROTTLED = Cause(
    what="S3 asks for fewer requests",
    fix="it is tried again, each time after a longer wait; if it stays so, let fewer tasks run at once (a pool)",
    lasting=False,
)
_BROKEN = Cause(what="S3 answers that it cannot now", fix=_AGAIN, lasting=False)
_CHANGED = Cause(
    what="it was replaced while it was read", fix="it is tried again; let nobody write there meanwhile", lasting=False
)
_CREDENTIALS = Cause(
    what="there are no credentials",
    fix="name a connection of Airflow with them (s3://conn_id@bucket/...), or give the machine a role",
)
_AWAY = Cause(what="no answer from S3", fix=_AGAIN, lasting=False)
_NOT_S3 = Cause(
    what="what answers is not S3", fix="correct endpoint_url in the connection's extra; a proxy may stand between"
)
_OTHER = Cause(what="S3 refuses", fix="check the path, the connection and the bucket", lasting=False)

CAUSES: dict[str, Cause] = {
    "NoSuchBucket": _BUCKET,
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem", "NotSignedUp", "403"), _DENIED),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "401"), _UNKNOWN),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"), _EXPIRED),
    **dict.fromkeys(
        ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"), _REGION
    ),
    **dict.fromkeys(("301", "307"), _REGION),
    "RequestTimeTooSkewed": _SKEW,
    **dict.fromkeys(("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "429"), _THROTTLED),
    **dict.fromkeys(("ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"), _BROKEN),
    **dict.fromkeys(("ConditionalRequestConflict", "OperationAborted"), _BROKEN),
    **dict.fromkeys(("PreconditionFailed", "412"), _CHANGED),
}
"""By the code of S3's answer, or its status where an answer has no code."""
_FAMILY = frozenset({"botocore", "boto3", "s3transfer", "urllib3"})
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "NoAuthTokenError")
_UNREADABLE = ("NotS3Error", "ResponseParserError", "TypeError", "KeyError", "ValueError", "AttributeError")
_MISSING = ("NoSuchKey", "404", "NotFound")


@contextmanager
def telling(uri: str, doing: str, field: str) -> Iterator[None]:
    """Turn what boto3 raises into one sentence, and "no such object" into FileNotFoundError.

    Parameters
    ----------
    uri
        What was asked for, with the name of its connection.
    doing
        ``read`` or ``write``.
    field
        What a problem is reported against.

    Raises
    ------
    StoreUnavailableError
        STORE_UNAVAILABLE, or STORE_UNWRITABLE where something was written; `lasting` where trying again does not help.
    """
    try:
        yield
    except Exception as error:
        if not _is_of_boto(error):
            raise
        if code_of(error) in _MISSING:
            raise FileNotFoundError(errno.ENOENT, "no such object", uri) from error
        raise _unavailable(error, uri, doing, field) from error


def code_of(error: Exception) -> str:
    """Return the code of S3's answer; empty when there was none.

    A HEAD request has no body, and so its status is the code.
    """
    answer = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return ""
    found = str((answer.get("Error") or {}).get("Code") or "")
    # Whoever answers writes it: letters and dots are all that a code of S3 has.
    return found if re.fullmatch(r"[A-Za-z0-9.]{1,60}", found) else str(status_of(error))


def status_of(error: Exception) -> int:
    """Return the status of S3's answer; 0 when there was none."""
    answer = getattr(error, "response", None)
    return int((answer.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0) if isinstance(answer, dict) else 0


def etag_of(answer: dict[str, Any]) -> str:
    """Return an object's mark, which every answer of S3 about one has.

    Raises
    ------
    NotS3Error
        If there is none: the page of a proxy, for one.
    """
    if not answer.get("ETag"):
        raise NotS3Error
    return str(answer["ETag"])


def require_listing(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that lists objects, as :func:`etag_of` for those about one.

    Raises
    ------
    NotS3Error
        If it does not say whether it is the last one: it would be taken for an empty bucket.
    """
    if "IsTruncated" not in answer:
        raise NotS3Error
    return answer


def _is_of_boto(error: Exception) -> bool:
    """Whether boto3, or what it stands on, raised it, which has no class of its own for all of its errors.

    It also trips over answers that are none of S3's, as a TypeError within.
    """
    if isinstance(error, NotS3Error) or {kind.__module__.partition(".")[0] for kind in type(error).__mro__} & _FAMILY:
        return True
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return not isinstance(error, OSError) and str(frames[-1].f_globals.get("__name__")).partition(".")[0] in _FAMILY


def _unavailable(error: Exception, uri: str, doing: str, field: str) -> StoreUnavailableError:
    cause = _cause(error)
    code = ReasonCode.STORE_UNWRITABLE if doing == "write" else ReasonCode.STORE_UNAVAILABLE
    refusal = StoreUnavailableError(
        Problem(
            code=code,
            field=field,
            found=f"cannot {doing} {uri}: {cause.what}{_also(error)} ({_asked(error)})",
            allowed=f"a bucket that answers, and that this process may {doing}",
            fix=cause.fix,
        )
    )
    refusal.lasting = cause.lasting
    return refusal


def _cause(error: Exception) -> Cause:
    code, kind = code_of(error), type(error).__name__
    if not code:
        return _CREDENTIALS if kind in _NO_CREDENTIALS else _NOT_S3 if kind in _UNREADABLE else _AWAY
    if code.startswith("KMS."):
        return _KEY
    return CAUSES.get(code) or CAUSES.get(str(status_of(error))) or _OTHER


def _also(error: Exception) -> str:
    """Say by how much a clock is off, and which region a bucket is in, where S3 tells."""
    answer: Any = getattr(error, "response", None) or {}
    headers = (answer.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    cause = _cause(error)
    if cause is _REGION:
        region = str((answer.get("Error") or {}).get("Region") or headers.get("x-amz-bucket-region") or "")
        return f", {region}," if re.fullmatch(r"[a-z0-9-]{1,30}", region) else ""
    return _clock(str(headers.get("date") or "")) if cause is _SKEW else ""


def _clock(told: str) -> str:
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    except (TypeError, ValueError):  # no date, or one without a zone
        return ""
    return f": it is {abs(seconds):.0f} seconds {'ahead' if seconds > 0 else 'behind'}"


def _asked(error: Exception) -> str:
    """Name the code, the operation and the number of tries."""
    answer: Any = getattr(error, "response", None)
    operation = str(getattr(error, "operation_name", "") or "")
    tries = 1 + int(((answer or {}).get("ResponseMetadata") or {}).get("RetryAttempts") or 0)
    said = code_of(error) or type(error).__name__
    at = f" at {operation}" if operation else ""
    return f"{said}{at}, in {tries} tries" if tries > 1 else f"{said}{at}"

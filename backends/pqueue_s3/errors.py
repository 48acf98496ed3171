"""botocore's errors as ours: the one place where they are translated."""

from __future__ import annotations

from typing import NamedTuple

from pqueue.errors import StoreError, StoreFull, StoreRefused

_NOT_ALLOWED = "the keys may not do this: s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject are needed"
HINTS = {
    "NoSuchBucket": "the bucket is not there: create it, or check its name and the endpoint",
    "AccessDenied": _NOT_ALLOWED,
    "Forbidden": _NOT_ALLOWED,
    "InvalidAccessKeyId": "the service does not know this access key: check the keys, the profile and the endpoint",
    "SignatureDoesNotMatch": "the secret key does not fit the access key: check both",
    "ExpiredToken": "the session's credentials have run out: renew them",
    "InvalidToken": "the session token is not valid: renew the credentials",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "AuthorizationHeaderMalformed": "most likely the bucket is in another region: set `region`",
    "PermanentRedirect": "the bucket is in another region: set `region`, or `endpoint_url`",
    "NotImplemented": "the service lacks this: conditional writes are needed",
}
FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"})
AGAIN = frozenset({"RequestTimeout", "RequestTimeoutException", "SlowDown", "ServiceUnavailable", "OperationAborted"})
INTERNAL_ERROR, NOT_IMPLEMENTED, INSUFFICIENT_STORAGE = 500, 501, 507
AGAIN_STATUS = frozenset({408, 409, 412, 425, 429})


class Answer(NamedTuple):
    """What the service said instead of doing it."""

    status: int
    code: str
    text: str
    retried: bool


def answer(error: Exception) -> Answer | None:
    """The service's answer; None for an error that is not one."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    meta, said = response.get("ResponseMetadata", {}), response.get("Error", {})
    status = int(meta.get("HTTPStatusCode", 0))
    return Answer(
        status,
        str(said.get("Code") or status),
        str(said.get("Message") or "no message"),
        bool(meta.get("RetryAttempts", 0)),
    )


def spoken(said: Answer, doing: str, *, effect: bool) -> StoreError:
    """The error for an answer; with `effect`, of a request that changes something."""
    hint = HINTS.get(said.code, "")
    text = f"{doing}: {said.code} ({said.status}): {said.text}" + (f"; {hint}" if hint else "")
    full = said.code in FULL or said.status == INSUFFICIENT_STORAGE
    again = said.code in AGAIN or said.status in AGAIN_STATUS or said.status >= INTERNAL_ERROR
    again = again and said.status != NOT_IMPLEMENTED
    if effect and said.retried and (full or not again):
        # The refusal is of the last attempt only; an earlier one, whose answer was lost, may have landed.
        return StoreError(f"{text}; an earlier attempt may have been carried out")
    if full:
        return StoreFull(text)
    return StoreError(text) if again else StoreRefused(text)


def translated(error: Exception, doing: str, *, effect: bool) -> Exception:
    """Our error for whatever a call of the client raised; a bug's own exception is given back as it is."""
    said = answer(error)
    if said is not None:
        return spoken(said, doing, effect=effect)
    # boto3 is loaded by whoever opens a bucket, not by whoever imports this.
    from botocore import exceptions as theirs  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    keyless = (
        theirs.NoCredentialsError,
        theirs.PartialCredentialsError,
        theirs.UnauthorizedSSOTokenError,
        theirs.SSOTokenLoadError,
    )
    unaddressed = (theirs.ParamValidationError, theirs.EndpointProviderError, theirs.NoRegionError)
    unreachable = (theirs.EndpointConnectionError, theirs.ConnectTimeoutError)
    text = f"{doing}: {type(error).__name__}: {error}"
    for kinds, made, hint in (
        (keyless, StoreRefused, "give keys by the environment, a profile, a role or the settings"),
        (unaddressed, StoreRefused, "check the bucket's name, region and endpoint_url"),
        (unreachable, StoreError, "not reachable: check endpoint_url, region and the network"),
        (
            theirs.ReadTimeoutError,
            StoreError,
            "it does not answer: check endpoint_url, or allow more than `read_timeout`",
        ),
    ):
        if isinstance(error, kinds):
            return made(f"{text}; {hint}")
    if isinstance(error, (theirs.BotoCoreError, ResponseParserError, HTTPError, OSError)):
        return StoreError(text)
    return error

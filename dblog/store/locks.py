"""Locks that somebody else holds: whoever needs one waits only for a moment, and tries again after a pause."""

from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base

from dblog.faults import sqlstate_of


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a statement gave up waiting for somebody else's lock."""
    return isinstance(error, DBAPIError) and sqlstate_of(error) == "55P03"


def patient(attempts: int, pause: wait_base) -> Retrying:
    """What calls a function again where a lock could not be had in time.

    Args:
        attempts: How often it is called; the error of the last call is raised.
        pause: Between two calls, in which those who queued up behind the lock catch up.
    """
    return Retrying(
        retry=retry_if_exception(is_lock_timeout), stop=stop_after_attempt(attempts), wait=pause, reraise=True
    )

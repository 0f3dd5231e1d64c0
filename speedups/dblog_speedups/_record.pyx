# cython: language_level=3, boundscheck=False, wraparound=False, binding=False
"""The records of the standard library, made in a third of the time: the same class, with the same attributes.

What can be changed while a program runs (switches of `logging`, names of levels, what `threading` and `time` consist of)
is looked up for each record, as `logging.LogRecord` does.
"""

import collections.abc
import logging
import os
import sys
import threading
from asyncio import _get_running_loop

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

cdef object LogRecord = logging.LogRecord
cdef object Mapping = collections.abc.Mapping
cdef object current_thread = threading.current_thread
cdef object running_loop = _get_running_loop
cdef dict settings = logging.__dict__
cdef dict level_names = logging._levelToName
cdef dict threads = threading.__dict__
cdef dict system = os.__dict__
cdef dict modules = sys.modules
cdef dict clocks = settings["time"].__dict__
cdef dict files = {}
cdef Py_ssize_t MOST_FILES = 8192
cdef bint IN_NANOSECONDS = sys.version_info >= (3, 13)
cdef bint WITH_TASKS = sys.version_info >= (3, 12)


def make_record(name, level, pathname, lineno, msg, args, exc_info, func=None, sinfo=None, **kwargs):
    """What `logging.LogRecord` makes of the same arguments; for `logging.setLogRecordFactory`."""
    cdef double created, milliseconds, since_start
    cdef long long nanoseconds, whole
    if type(pathname) is not str or type(args) is not tuple:
        return LogRecord(name, level, pathname, lineno, msg, args, exc_info, func, sinfo)
    if IN_NANOSECONDS:
        nanoseconds = clocks["time_ns"]()
        created = nanoseconds / 1e9
        whole = nanoseconds // 1_000_000_000
        milliseconds = nanoseconds % 1_000_000_000 // 1_000_000
        if milliseconds == 999.0 and <long long>created != whole:  # it was rounded up to the next second
            milliseconds = 0.0
        since_start = (nanoseconds - <long long>settings["_startTime"]) / 1e6
    else:
        created = clocks["time"]()
        milliseconds = <long long>((created - <long long>created) * 1000)
        since_start = (created - <double>settings["_startTime"]) * 1000
    if len(<tuple>args) == 1 and not is_plain((<tuple>args)[0]):
        only = (<tuple>args)[0]
        if isinstance(only, Mapping) and only:
            args = only
    level_name = level_names.get(level)
    if not level_name:
        level_name = logging.getLevelName(level)
    cdef tuple file = file_of(<str>pathname)
    record = LogRecord.__new__(LogRecord)
    cdef dict attributes = record.__dict__
    attributes["name"] = name
    attributes["msg"] = msg
    attributes["args"] = args
    attributes["levelname"] = level_name
    attributes["levelno"] = level
    attributes["pathname"] = pathname
    attributes["filename"] = file[0]
    attributes["module"] = file[1]
    attributes["exc_info"] = exc_info
    attributes["exc_text"] = None
    attributes["stack_info"] = sinfo
    attributes["lineno"] = lineno
    attributes["funcName"] = func
    attributes["created"] = created
    attributes["msecs"] = milliseconds
    attributes["relativeCreated"] = since_start
    if settings["logThreads"]:
        ident = threads["get_ident"]()
        attributes["thread"] = ident
        attributes["threadName"] = thread_of(ident).name
    else:
        attributes["thread"] = None
        attributes["threadName"] = None
    attributes["processName"] = process_name() if settings["logMultiprocessing"] else None
    attributes["process"] = system["getpid"]() if settings["logProcesses"] else None
    if WITH_TASKS:
        attributes["taskName"] = task_name() if settings["logAsyncioTasks"] else None
    return record


cdef inline bint is_plain(object value) noexcept:
    return type(value) is str or type(value) is int or type(value) is float or value is None or type(value) is bool


cdef tuple file_of(str pathname):
    """The name of a file, and that of its module."""
    cdef PyObject *found = PyDict_GetItemWithError(files, pathname)
    if found is not NULL:
        return <tuple>found
    name = os.path.basename(pathname)
    if len(files) >= MOST_FILES:
        files.clear()
    files[pathname] = file = (name, os.path.splitext(name)[0])
    return file


cdef object thread_of(object ident):
    if threads["current_thread"] is current_thread:
        thread = (<dict>threads["_active"]).get(ident)
        if thread is not None:
            return thread
    return threads["current_thread"]()


cdef object process_name():
    multiprocessing = modules.get("multiprocessing")
    if multiprocessing is not None:
        try:
            return multiprocessing.current_process().name
        except Exception:  # it may not be loaded to its end yet
            pass
    return "MainProcess"


cdef object task_name():
    if running_loop() is None:  # which is cheaper to ask than for the task, whose absence is an exception
        return None
    asyncio = modules.get("asyncio")
    if asyncio:
        try:
            return asyncio.current_task().get_name()
        except Exception:  # a loop may run without a task
            pass
    return None

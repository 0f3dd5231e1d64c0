# cython: language_level=3, boundscheck=False, wraparound=False, binding=False
"""The common case of a logging call: an ordinary record, whose call site, thread and extra keys are known already.

Only the text of an exception calls code of the application: all other values are of the built-in types themselves, not
of classes derived from them. That, a finalizer or a signal handler comes before the record is taken: it is either left
alone, for the code in Python, or appended and counted without a pause.
"""

import logging
import sys
from asyncio import _get_running_loop

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_Contains, PyDict_GetItemWithError, PyDict_Next
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.mem cimport PyMem_Free
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM
from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.math cimport isfinite
from libc.string cimport memchr, memcpy, strlen

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    bint PyUnicode_IS_ASCII(object text)
    object PyUnicode_Format(object template, object args)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    char *PyOS_double_to_string(double value, char code, int precision, int flags, int *kind) except NULL
    const int Py_DTSF_ADD_DOT_0

INTERFACE = 3

cdef enum:
    CAPACITY = 4096  # bytes of a line; a longer one is no common case

cdef enum:  # where each attribute stands among those of a record
    NAME, MSG, ARGS, LEVELNAME, LEVELNO, PATHNAME, FILENAME, MODULE, EXC_INFO, EXC_TEXT, STACK_INFO, LINENO, FUNCNAME
    CREATED, MSECS, RELATIVE, THREAD, THREADNAME, PROCESSNAME, PROCESS, TASKNAME, MOST

cdef tuple NAMES = tuple(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
cdef tuple KNOWN = (
    "name", "msg", "args", "levelname", "levelno", "pathname", "filename", "module", "exc_info", "exc_text",
    "stack_info", "lineno", "funcName", "created", "msecs", "relativeCreated", "thread", "threadName", "processName",
    "process", "taskName",
)
if NAMES not in (KNOWN, KNOWN[:TASKNAME]):  # the task has a name since Python 3.12
    raise ImportError("the records of this Python have other attributes than those that dblog_speedups knows")
cdef Py_ssize_t STANDARD = len(NAMES)

cdef object LogRecord = logging.LogRecord
cdef object get_message = logging.LogRecord.getMessage
if getattr(get_message, "__code__", None) is None or get_message.__code__.co_filename != logging.__file__:
    get_message = None  # somebody has replaced it: messages with arguments are left to that
cdef object running_loop = _get_running_loop
cdef dict modules = sys.modules


cdef struct Text:
    Py_ssize_t size
    char bytes[CAPACITY]


cdef struct Attributes:
    PyObject *values[MOST]  # borrowed
    Text extra  # JSON, empty for none


cdef inline bint put(Text *text, const char *part, Py_ssize_t size) noexcept:
    if size > CAPACITY - text.size:
        return False
    memcpy(text.bytes + text.size, part, size)
    text.size += size
    return True


cdef inline bint put_digits(Text *text, unsigned long long number, int width) noexcept:
    """Append a number, with zeros in front up to `width`; 20 digits at most."""
    cdef char digits[24]
    cdef int start = 24
    while number or start > 24 - width:
        start -= 1
        digits[start] = 0x30 + number % 10
        number //= 10
    return put(text, digits + start, 24 - start)


cdef inline bint put_known(Text *text, str part) except -1:
    """Append what needs no look: it came from the encoder in Python."""
    cdef Py_ssize_t size
    cdef const char *utf8 = PyUnicode_AsUTF8AndSize(part, &size)
    return put(text, utf8, size)


cdef bint put_plain(Text *text, str part, bint quoted) except -1:
    """Append what stands for itself in COPY, and `quoted` in JSON; False where it has to be escaped."""
    cdef Py_ssize_t size, index
    cdef unsigned char byte
    if not PyUnicode_IS_ASCII(part) and not part.isprintable():
        return False
    cdef const char *utf8 = PyUnicode_AsUTF8AndSize(part, &size)
    if size > CAPACITY - text.size:
        return False
    cdef char *target = text.bytes + text.size
    for index in range(size):
        byte = utf8[index]
        if byte < 0x20 or byte == 0x7F or byte == 0x5C or (quoted and byte == 0x22):
            return False
        target[index] = byte
    text.size += size
    return True


cdef bint put_value(Text *text, object value) except -1:
    """Append a plain value as JSON; False where it is none."""
    cdef int overflow = 0
    cdef long long number
    cdef char *digits
    cdef bint fits
    if type(value) is str:
        return put(text, b'"', 1) and put_plain(text, <str>value, True) and put(text, b'"', 1)
    if type(value) is int:
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow or number == -0x7FFFFFFFFFFFFFFF - 1:
            return False
        if number < 0:
            return put(text, b"-", 1) and put_digits(text, <unsigned long long>-number, 1)
        return put_digits(text, <unsigned long long>number, 1)
    if value is None:
        return put(text, b"null", 4)
    if value is True:
        return put(text, b"true", 4)
    if value is False:
        return put(text, b"false", 5)
    if type(value) is float and isfinite(PyFloat_AS_DOUBLE(value)):
        digits = PyOS_double_to_string(PyFloat_AS_DOUBLE(value), b"r", 0, Py_DTSF_ADD_DOT_0, NULL)
        fits = put(text, digits, strlen(digits))
        PyMem_Free(digits)
        return fits
    return False


cdef inline str recall(dict cache, tuple key):
    cdef PyObject *found = PyDict_GetItemWithError(cache, key)
    return None if found is NULL else <str>found


cdef inline bint put_message(Text *line, str message) except -1:
    return put(line, b"\t", 1) and put_plain(line, message, False) and put(line, b"\n", 1)


cdef inline bint has_failed(Attributes *found) noexcept:
    """True for a record with an exception or a stack."""
    return (
        <object>found.values[EXC_INFO] is not None or <object>found.values[EXC_TEXT] is not None
        or <object>found.values[STACK_INFO] is not None
    )


cdef inline bint is_plain_argument(object value) noexcept:
    return type(value) is str or type(value) is int or type(value) is float or value is None or type(value) is bool


cdef class LineEncoder:
    """Encodes ordinary records with what the encoder in Python remembers."""

    cdef object rows, formatted, failure
    cdef dict sites, threads, keys
    cdef Py_ssize_t longest
    cdef str untraced, nothing

    def __init__(
        self, rows, *, failure, dict sites, dict threads, dict keys, formatted, Py_ssize_t longest, str untraced,
        str nothing
    ):
        self.rows = rows
        self.failure = failure
        self.sites = sites
        self.threads = threads
        self.keys = keys
        self.formatted = formatted
        self.longest = longest
        self.untraced = untraced
        self.nothing = nothing

    def encode(self, record):
        """The line that `rows.encode()` would make; None where that has to be asked."""
        cdef Attributes found
        if type(record) is not LogRecord:
            return None
        cdef object attributes = record.__dict__
        return self.line_of(&found, record) if self.have_found(&found, attributes) else None

    cdef bint have_found(self, Attributes *found, object attributes) except -1:
        """Take the attributes apart; False where they are not those of an ordinary record."""
        cdef Py_ssize_t position = 0, count = 0, size
        cdef PyObject *key
        cdef PyObject *value
        cdef PyObject *name
        cdef const char *utf8
        cdef const char *mark = b"{"
        cdef Text *extra = &found.extra
        extra.size = 0
        if type(attributes) is not dict:
            return False
        while PyDict_Next(<dict>attributes, &position, &key, &value):
            if count < STANDARD:
                if key is not PyTuple_GET_ITEM(NAMES, count):
                    return False
                found.values[count] = value
                count += 1
                continue
            if type(<object>key) is not str:
                return False
            name = PyDict_GetItemWithError(self.keys, <object>key)
            if name is NULL:
                if <object>key in self.formatted:
                    continue
                return False
            utf8 = PyUnicode_AsUTF8AndSize(<object>name, &size)
            if memchr(utf8, b"\\", size) is not NULL or (size == 13 and utf8 == b'"getMessage":'):
                return False
            if not (put(extra, mark, 1) and put(extra, utf8, size) and put_value(extra, <object>value)):
                return False
            mark = b","
        if extra.size:
            return put(extra, b"}", 1) and extra.size <= self.longest
        return count == STANDARD

    cdef bytes line_of(self, Attributes *found, object record):
        """The line; None where something about it is not ordinary.

        Nothing may be read of `found` once the text of an exception was made, because the record may change with it.
        """
        cdef object created = <object>found.values[CREATED]
        cdef object level = <object>found.values[LEVELNO]
        cdef object line_number = <object>found.values[LINENO]
        cdef object process = <object>found.values[PROCESS]
        cdef object ident = <object>found.values[THREAD]
        cdef object name = <object>found.values[NAME]
        cdef object level_name = <object>found.values[LEVELNAME]
        cdef object path = <object>found.values[PATHNAME]
        cdef object function = <object>found.values[FUNCNAME]
        cdef object thread_name = <object>found.values[THREADNAME]
        cdef object task = None
        cdef tuple second = self.rows.second
        cdef str site, thread, message
        cdef double offset
        cdef Text line
        if STANDARD > TASKNAME:
            task = <object>found.values[TASKNAME]
        elif running_loop() is not None:
            return None
        if not (
            type(created) is float and type(level) is int and type(line_number) is int and type(process) is int
            and type(ident) is int and type(name) is str and type(level_name) is str and type(path) is str
            and type(function) is str and type(thread_name) is str and (task is None or type(task) is str)
            and not PyDict_Contains(modules, "opentelemetry.trace")
        ):
            return None
        message = self.message_of(<object>found.values[MSG], <object>found.values[ARGS])
        if message is None:
            return None
        site = recall(self.sites, (name, level, level_name, path, line_number, function, process))
        thread = recall(self.threads, (ident, thread_name, task))
        offset = PyFloat_AS_DOUBLE(created) - <double>second[0]
        if site is None or thread is None or not 0.0 <= offset < 0.9999995:
            return None
        line.size = 0
        if not (
            put_known(&line, <str>second[1])
            and put(&line, b".", 1)
            and put_digits(&line, <unsigned long long>(offset * 1000000 + 0.5), 6)
            and put(&line, b"+00\t", 4)
            and put_known(&line, site)
            and put(&line, b"\t", 1)
            and put_known(&line, thread)
            and put(&line, b"\t", 1)
        ):
            return None
        if has_failed(found):
            return self.line_of_failure(found, record, &line, message)
        if self.put_details(&line, &found.extra) and put_message(&line, message):
            return PyBytes_FromStringAndSize(line.bytes, line.size)
        return None

    cdef bytes line_of_failure(self, Attributes *found, object record, Text *line, str message):
        """The line that begins so, with the text of an exception in between, which may be of any length."""
        cdef bytes head
        if not put(line, b"\\N\t\\N\t", 6):  # neither trace nor span
            return None
        head = PyBytes_FromStringAndSize(line.bytes, line.size)
        line.size = 0
        if not (
            put(line, b"\t", 1)
            and (put(line, found.extra.bytes, found.extra.size) if found.extra.size else put(line, b"\\N", 2))
            and put_message(line, message)
        ):
            return None
        try:
            return head + (<str>self.failure(record)).encode() + line.bytes[:line.size]
        except Exception:  # the encoder in Python has an answer to that
            return None

    cdef bint put_details(self, Text *line, Text *extra) except -1:
        if not extra.size:
            return put_known(line, self.nothing)
        return put_known(line, self.untraced) and put(line, b"\t", 1) and put(line, extra.bytes, extra.size)

    cdef str message_of(self, object template, object args):
        """The message; None where its arguments are not built-in values, or do not fit."""
        if type(template) is not str or type(args) is not tuple:
            return None
        cdef str message = template
        if <tuple>args:
            for each in <tuple>args:
                if not is_plain_argument(each):
                    return None
            if LogRecord.getMessage is not get_message:
                return None
            try:
                message = PyUnicode_Format(template, args)
            except Exception:  # the encoder in Python has an answer to that
                return None
        return message if PyUnicode_GET_LENGTH(message) <= self.longest else None


cdef class Taker:
    """Takes ordinary records into a queue."""

    cdef object take, look_after, local, queue, append, stepper
    cdef object process_id, urgent_level
    cdef str worker_thread
    cdef LineEncoder encoder
    cdef Py_ssize_t line_overhead, publish_bytes

    def __init__(
        self, take, LineEncoder encoder, *, look_after, local, queue, append, stepper, process_id, str worker_thread,
        urgent_level, Py_ssize_t line_overhead, Py_ssize_t publish_bytes
    ):
        self.take = take
        self.look_after = look_after
        self.encoder = encoder
        self.local = local
        self.queue = queue
        self.append = append
        self.stepper = stepper
        self.process_id = process_id
        self.worker_thread = worker_thread
        self.urgent_level = urgent_level
        self.line_overhead = line_overhead
        self.publish_bytes = publish_bytes

    def __call__(self, record, /):
        """Do what `take(record)` does."""
        if not self.has_taken(record):
            self.take(record)

    cdef bint has_taken(self, object record) except -1:
        """Append and count a record; False where it was left alone."""
        if type(record) is not LogRecord:
            return False
        cdef object cell = getattr(self.local, "cell", None)
        if cell is None or cell.depth or self.queue.strained or self.stepper.asleep:
            return False
        cdef Attributes found
        cdef object attributes = record.__dict__
        if not self.encoder.have_found(&found, attributes):
            return False
        cdef object level = <object>found.values[LEVELNO]
        cdef object process = <object>found.values[PROCESS]
        cdef object thread_name = <object>found.values[THREADNAME]
        if type(level) is not int or type(process) is not int or type(thread_name) is not str:
            return False
        if process != self.process_id or <str>thread_name == self.worker_thread:
            return False
        cdef bytes line
        if has_failed(&found):
            cell.depth += 1  # what the exception logs while it is shown is taken in Python, which sees to the depth
            try:
                line = self.encoder.line_of(&found, record)
            finally:
                cell.depth -= 1
        else:
            line = self.encoder.line_of(&found, record)
        if line is None:
            return False
        # From here on nothing may come in between: figures are read only now.
        cdef dict counts = cell.counts
        cdef PyObject *count = PyDict_GetItemWithError(counts, level)
        cdef Py_ssize_t size = <Py_ssize_t>cell.size + len(line) + self.line_overhead
        cdef bint urgent = level >= self.urgent_level
        self.append(line)
        cell.size = size
        counts[level] = 1 if count is NULL else <object>count + 1
        if urgent or size >= self.publish_bytes or self.stepper.asleep:
            self.look_after(cell, urgent)
        return True

# cython: language_level=3, boundscheck=False, wraparound=False, binding=False
"""The lines of a batch put together in one pass, without letting go of the interpreter in between."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcmp, memcpy

cdef enum:
    TIMESTAMP = 29  # bytes at the beginning of a line, before a tab and the number of the level
    DIGITS = 10  # of a level, at most
    ORDINARY = 64  # levels that are counted without a dictionary


cdef extern from *:
    """
    #if defined(__GNUC__)
    #define dblog_prefetch(address) __builtin_prefetch(address)
    #else
    #define dblog_prefetch(address)
    #endif
    """
    void dblog_prefetch(const void *address) noexcept


def assemble(bytes prefix not None, list lines not None):
    """The lines, each behind the prefix; the number of lines by level; the smallest and the largest timestamp."""
    cdef dict levels = {}  # first: where it makes Python collect garbage, code runs that may have the list
    cdef Py_ssize_t count = PyList_GET_SIZE(lines), width = PyBytes_GET_SIZE(prefix), index, size, total = 0
    cdef Py_ssize_t ordinary[ORDINARY]
    cdef long level
    cdef const char *line
    cdef const char *first = NULL
    cdef const char *last = NULL
    if not count:
        raise ValueError("a batch has one line at least")
    for index in range(count):
        if index + 8 < count:
            dblog_prefetch(<PyObject *>PyList_GET_ITEM(lines, index + 8))
        if type(<object>PyList_GET_ITEM(lines, index)) is not bytes:  # `<bytes?>` would let None pass
            raise TypeError("a line is not of bytes")
        total += PyBytes_GET_SIZE(<bytes>PyList_GET_ITEM(lines, index))
    cdef bytes payload = PyBytes_FromStringAndSize(NULL, total + count * width)
    cdef char *target = PyBytes_AS_STRING(payload)
    for index in range(ORDINARY):
        ordinary[index] = 0
    for index in range(count):
        line = PyBytes_AS_STRING(<bytes>PyList_GET_ITEM(lines, index))
        size = PyBytes_GET_SIZE(<bytes>PyList_GET_ITEM(lines, index))
        level = level_of(line, size)
        if 0 <= level < ORDINARY:
            ordinary[level] += 1
        else:
            levels[level] = levels.get(level, 0) + 1
        if first is NULL or memcmp(line, first, TIMESTAMP) < 0:
            first = line
        if last is NULL or memcmp(line, last, TIMESTAMP) > 0:
            last = line
        memcpy(target, PyBytes_AS_STRING(prefix), width)
        memcpy(target + width, line, size)
        target += width + size
    for index in range(ORDINARY):
        if ordinary[index]:
            levels[index] = ordinary[index]
    return payload, levels, first[:TIMESTAMP], last[:TIMESTAMP]


cdef long level_of(const char *line, Py_ssize_t size) except? -1:
    """The number between the tab behind the timestamp and the next one."""
    cdef Py_ssize_t start = TIMESTAMP + 1
    cdef long level = 0
    cdef bint negative = start < size and line[start] == b"-"
    start += negative
    cdef Py_ssize_t index = start
    while index < size and index - start < DIGITS and b"0" <= line[index] <= b"9":
        level = level * 10 + (line[index] - 0x30)
        index += 1
    if index == start or index >= size or line[index] != b"\t":
        raise ValueError("a line does not begin with its timestamp and level")
    return -level if negative else level

# cython: language_level=3, boundscheck=False, wraparound=False, binding=False
"""The lines of a traceback's frames, of which those that are known cost a look."""

from types import TracebackType

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

cdef object Traceback = TracebackType

cdef extern from *:
    """
    #include <frameobject.h>
    static PyObject *dblog_code_of(PyObject *trace) {
        return (PyObject *)PyFrame_GetCode(((PyTracebackObject *)trace)->tb_frame);
    }
    #define dblog_next(trace) ((PyObject *)((PyTracebackObject *)(trace))->tb_next)
    #define dblog_instruction(trace) (((PyTracebackObject *)(trace))->tb_lasti)
    #define dblog_line(trace) (((PyTracebackObject *)(trace))->tb_lineno)
    """
    object dblog_code_of(object trace)
    PyObject *dblog_next(object trace) noexcept
    int dblog_instruction(object trace) noexcept
    int dblog_line(object trace) noexcept  # -1 until somebody asks for it: then that of the instruction


def stack(trace not None, dict frames not None, remember, Py_ssize_t most):
    """The lines of all frames; None where more than `most` in a row are on one line."""
    cdef object following = trace
    cdef object code
    cdef object place = None
    cdef object before
    cdef tuple key, frame
    cdef list lines = []
    cdef Py_ssize_t repeated = 0
    cdef PyObject *known
    cdef PyObject *next_one
    if type(trace) is not Traceback:
        raise TypeError("a traceback is needed")
    while True:
        code = dblog_code_of(following)
        key = (<size_t><void *>code, dblog_instruction(following), dblog_line(following))
        known = PyDict_GetItemWithError(frames, key)
        frame = None if known is NULL else <tuple>known
        if frame is None or frame[0]() is not code:
            frame = remember(key, following, code)
        before, place = place, frame[1]
        repeated = repeated + 1 if place is before or place == before else 1
        if repeated > most:
            return None
        lines.append(frame[2])
        next_one = dblog_next(following)
        if next_one is NULL:
            return "".join(lines)
        following = <object>next_one

"""The extension module; everything else is in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "dblog_speedups._line",
            ["dblog_speedups/_line.pyx"],
            # No fused multiply-add: microseconds are rounded as Python rounds them.
            extra_compile_args=["-O2", "-ffp-contract=off"],
        )
    ]
)

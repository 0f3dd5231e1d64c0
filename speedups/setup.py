"""The extension modules; everything else is in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            f"dblog_speedups.{name}",
            [f"dblog_speedups/{name}.pyx"],
            # No fused multiply-add: microseconds are rounded as Python rounds them.
            extra_compile_args=["-O2", "-ffp-contract=off"],
        )
        for name in ("_batch", "_line", "_record", "_trace")
    ]
)

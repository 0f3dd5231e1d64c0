def assemble(prefix: bytes, lines: list[bytes]) -> tuple[bytes, dict[int, int], bytes, bytes]:
    """The lines, each behind the prefix; the number of lines by level; the smallest and the largest timestamp.

    Raises:
        ValueError: A line does not begin with its timestamp and level.
    """

"""`python -m benchmarks`."""

if __name__ == "__main__":  # the processes that measure import this module, too, and need nothing of it
    from benchmarks.command import main

    main()

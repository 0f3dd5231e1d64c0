"""`python -m dblog`: the same as the `dblog` command."""

from dblog.cli.main import main

if __name__ == "__main__":
    main()

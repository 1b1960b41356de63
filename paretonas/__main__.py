"""`python -m paretonas`."""

from paretonas.cli import main

if __name__ == "__main__":
    main()

"""`python -m carillon` is the `carillon` command."""

from carillon.cli import main

if __name__ == "__main__":
    main()

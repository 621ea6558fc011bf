"""``python -m authserver`` is the ``authserver`` command."""

from .cli import main

if __name__ == "__main__":
    main()

"""The command line, as `python -m stencilnet`."""

from stencilnet.cli import main

if __name__ == "__main__":
    main()

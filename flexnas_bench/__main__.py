"""`python -m flexnas_bench` is the command `flexnas-bench`."""

from flexnas_bench.cli import main

if __name__ == "__main__":
    main()

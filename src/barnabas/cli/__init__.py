"""The command line. `barnabas.cli.main:main` is its entry point."""

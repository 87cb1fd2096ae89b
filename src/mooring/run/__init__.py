"""The processes of Mooring: what each runs, and `mooring up`, which runs them all."""

"""The benchmarks, and what Mooring is compared with. ``python -m bench --help`` lists them."""

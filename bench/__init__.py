"""Measures the product on real parts; see bench/README.md."""

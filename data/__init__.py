"""Shipped tables, sources, protocols and checksums, read through `flexnas_bench.storage`."""

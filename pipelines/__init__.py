"""Plan, engines and command line: what turns a corpus and a configuration into committed Parquet."""

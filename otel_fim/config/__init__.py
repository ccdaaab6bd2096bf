"""Configuration in the collector's form: loading, expansion, merging, validation, printing."""

"""The way through the house: a bounded queue, the processors, the journal, and a runner for each exporter."""
